import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readDemoDocuments } from '../../../src/cli/demo/demo-input.ts';
import { paginate } from '../../../src/pipeline/document/parse-document.ts';
import { buildSearchDocument } from '../../../src/pipeline/tools/search-document.ts';

const demo = new URL('../../../src/cli/demo/', import.meta.url);
const documents = await readDemoDocuments();
const longDocuments = documents.filter(({ tools }) => tools).map(({ file }) => file);
const shortDocuments = documents.filter(({ tools }) => !tools).map(({ file }) => file);

const pageChars = { least: 1_600, most: 2_200 };
const longDocumentChars = { least: 18_000, most: 26_000 };
/** About 400 tokens: what the bundled model reads whole. */
const shortDocumentChars = 1_400;
/** The limit that answers are decoded under. */
const quoteChars = 400;

function readRaw(file: string): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(new URL(`documents/${file}`, demo)));
}

function readPages(file: string): string[] {
  return readRaw(file).replace(/\n$/, '').split('\n\f\n');
}

function parseCell(cell: string): number | undefined {
  const number = /^(?:GBP )?(-?[\d,]+(?:\.\d+)?)$/.exec(cell)?.[1];
  return number === undefined ? undefined : Number(number.replaceAll(',', ''));
}

/** Tables of a page as rows of cells; the first two rows are the head and its rule. */
function readTables(page: string): string[][][] {
  const blocks = page.match(/(?:^\|.*\|$\n?)+/gm) ?? [];
  return blocks.map((block) =>
    block
      .trim()
      .split('\n')
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      ),
  );
}

/** Every column of numbers that ends in a total row, with the sum of the rows above it. */
function sumColumns(table: readonly (readonly string[])[]): { name: string; total: number; sum: number }[] {
  const end = table.findIndex((row) => row[0] === 'Total');
  return (table[end] ?? []).flatMap((cell, column) => {
    const total = parseCell(cell);
    if (total === undefined) return [];
    const parts = table.slice(2, end).map((row) => parseCell(row[column] ?? '') ?? Number.NaN);
    return [{ name: table[0]?.[column] ?? '', total, sum: parts.reduce((sum, part) => sum + part, 0) }];
  });
}

describe('demo documents', () => {
  it('are the files that the questions name', () => {
    const files = readdirSync(new URL('documents/', demo)).sort();
    expect(documents.map(({ file }) => file).sort()).toEqual(files);
  });

  for (const { file, tools } of documents) {
    describe(file, () => {
      const raw = readRaw(file);
      const pages = readPages(file);

      it('has every page break alone on its line', () => {
        expect(raw.split('\f')).toHaveLength(pages.length);
        expect(raw).not.toContain('\r');
        expect(raw.endsWith('\n')).toBe(true);
      });

      if (tools)
        it('has pages of an ordinary length', () => {
          for (const [index, page] of pages.entries()) {
            const place = `page ${index + 1}`;
            expect(page.length, place).toBeGreaterThanOrEqual(pageChars.least);
            expect(page.length, place).toBeLessThanOrEqual(pageChars.most);
          }
        });

      it('has no two equal pages and no repeated paragraph', () => {
        expect(new Set(pages).size).toBe(pages.length);
        const paragraphs = pages.flatMap((page) => page.split('\n')).filter((line) => /^\d+\.\d+ /.test(line));
        expect(new Set(paragraphs.map((line) => line.replace(/^\S+ /, ''))).size).toBe(paragraphs.length);
      });

      it('numbers its paragraphs without a gap or a repetition', () => {
        const numbers = [...raw.matchAll(/^(\d+)\.(\d+) /gm)].map((match) => [Number(match[1]), Number(match[2])]);
        for (const [index, [section, paragraph]] of numbers.entries()) {
          const [previousSection, previousParagraph] = numbers[index - 1] ?? [];
          const expected = section === previousSection ? (previousParagraph ?? 0) + 1 : 1;
          expect(paragraph, `${section}.${paragraph}`).toBe(expected);
        }
      });

      it('has tables with even rows whose totals add up', () => {
        const tables = pages.flatMap(readTables);
        for (const table of tables) {
          expect(new Set(table.map((row) => row.length)).size, table[0]?.join(' | ')).toBe(1);
          for (const { name, total, sum } of sumColumns(table)) expect(sum, name).toBeCloseTo(total, 5);
        }
      });
    });
  }

  it('are long enough to be searched, or short enough to be read whole', () => {
    for (const file of longDocuments) {
      const pages = readPages(file);
      const chars = pages.join('').length;
      expect(pages.length, file).toBeGreaterThanOrEqual(10);
      expect(chars, file).toBeGreaterThanOrEqual(longDocumentChars.least);
      expect(chars, file).toBeLessThanOrEqual(longDocumentChars.most);
    }
    for (const file of shortDocuments) expect(readRaw(file).length, file).toBeLessThanOrEqual(shortDocumentChars);
  });
});

describe('demo questions', () => {
  const all = documents.flatMap((document) => document.questions.map((item) => ({ document, item })));

  it('are thirteen, six of short documents and seven of long ones, with unique ids', () => {
    expect(all).toHaveLength(13);
    expect(shortDocuments.flatMap((file) => all.filter(({ document }) => document.file === file))).toHaveLength(6);
    expect(new Set(all.map(({ item }) => item.id)).size).toBe(all.length);
    for (const { item } of all) expect(item.id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  it.each(all)('$item.id is answered by words of the page it names', ({ document, item }) => {
    const page = readPages(document.file)[(item.page ?? 0) - 1];
    expect(page).toContain(item.quote);
    expect(item.quote).toContain(item.answer);
    expect(item.quote?.length).toBeLessThanOrEqual(quoteChars);
  });

  it.each(all)('$item.id is a choice: its document has other facts of the same attribute', ({ document, item }) => {
    const rivals = rivalsOf[item.id] ?? [];
    expect(rivals.length, 'rivals').toBeGreaterThanOrEqual(2);
    const text = readPages(document.file).join('\n');
    for (const rival of rivals) expect(text).toContain(rival);
    expect(rivals).not.toContain(item.answer);
  });

  it.each(all.filter(({ document }) => document.tools))('$item.id is found by its own words', ({ document, item }) => {
    const search = buildSearchDocument([paginate(document.file, readRaw(document.file))]);
    const query = item.question.replace(/^(?:What|Who) is the |\?$/g, '');
    const [first = '', ...others] = search.run({ query, limit: 4 }).split('\n');
    expect(others.length).toBeGreaterThan(0);
    expect(first).toContain(item.quote);
    expect(first.startsWith(`[1, p. ${item.page}] `)).toBe(true);
  });
});

/** Values of the attribute that is asked for, of other things in the same document. */
const rivalsOf: Readonly<Record<string, readonly string[]>> = {
  'budget-orchard-close': ['GBP 418,000', 'GBP 75,000'],
  'deadline-fennel-street': ['26 June 2026', '17 July 2026'],
  'supervisor-mill-court': ['Greta Lindholm-Okafor', 'Bao Tran Whitcombe'],
  'test-pressure-south-pump': ['13.8 bar', '9.5 bar'],
  'interval-reserve-pump': ['18 months', '9 months'],
  'warranty-north-pump': ['2 years', '10 years'],
  'charge-digitisation': ['GBP 48,500', 'GBP 21,200', 'GBP 9,300'],
  'day-rate-architect': ['GBP 1,150', 'GBP 845', 'GBP 690', 'GBP 640', 'GBP 385', 'GBP 260'],
  'notice-supplier': ['60 days', '90 days'],
  'cover-cyber': ['GBP 6,000,000', 'GBP 2,500,000'],
  'backlog-coastal': ['2,310,000 messages', '2,880,000 messages', '560,000 messages', '230,000 messages'],
  'owner-a-11': ['Tomasz Bergqvist', 'Dilan Oyelaran', 'Noor Castellane', 'Ruben Achterberg'],
  'restart-lantern-5': ['09:07', '09:21'],
};
