import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface DemoQuestion {
  readonly id: string;
  readonly question: string;
  readonly answer: unknown;
  readonly found: boolean;
  readonly page: number | null;
  readonly quote: string | null;
  readonly schema?: unknown;
}

interface DemoDocument {
  readonly file: string;
  readonly title: string;
  readonly questions: readonly DemoQuestion[];
}

const demo = new URL('../../../src/cli/demo/', import.meta.url);
const questions = JSON.parse(readFileSync(new URL('questions.json', demo), 'utf8')) as {
  readonly version: number;
  readonly documents: readonly DemoDocument[];
};
const longDocuments = ['services-agreement.md', 'incident-report.md', 'annual-report.md'];

const pageChars = { least: 1_600, most: 2_200 };
const longDocumentChars = { least: 18_000, most: 26_000 };
/** The limit that answers are decoded under. */
const quoteChars = 400;

/** A word that any answer to the question would have to contain, by question id. */
const absentWords: Readonly<Record<string, RegExp>> = {
  'escrow-agent': /escrow/i,
  'lost-customers': /terminat|contracts? (was|were) (ended|cancelled)|(ended|cancelled) (its|their) contract/i,
  'carbon-emissions': /carbon|emission|CO2/i,
};

function readPages(file: string): string[] {
  const bytes = readFileSync(new URL(`documents/${file}`, demo));
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\n$/, '').split('\n\f\n');
}

function parseCell(cell: string): number | undefined {
  return /^-?[\d,]+(\.\d+)?$/.test(cell) ? Number(cell.replaceAll(',', '')) : undefined;
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
  const end = table.findIndex((row) => ['Total', 'Group', 'Surplus'].includes(row[0] ?? ''));
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
    expect(questions.documents.map((document) => document.file).sort()).toEqual(files);
  });

  for (const { file } of questions.documents) {
    describe(file, () => {
      const raw = readFileSync(new URL(`documents/${file}`, demo), 'utf8');
      const pages = readPages(file);

      it('has every page break alone on its line', () => {
        expect(raw.split('\f')).toHaveLength(pages.length);
        expect(raw).not.toContain('\r');
        expect(raw.endsWith('\n')).toBe(true);
      });

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
        expect(paragraphs.length).toBeGreaterThan(0);
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
        expect(tables.length).toBeGreaterThan(0);
        for (const table of tables) {
          expect(new Set(table.map((row) => row.length)).size, table[0]?.join(' | ')).toBe(1);
          for (const { name, total, sum } of sumColumns(table)) expect(sum, name).toBeCloseTo(total, 5);
        }
      });
    });
  }

  it('are long enough for a prefix worth keeping', () => {
    for (const file of longDocuments) {
      const pages = readPages(file);
      const chars = pages.join('').length;
      expect(pages.length, file).toBeGreaterThanOrEqual(10);
      expect(chars, file).toBeGreaterThanOrEqual(longDocumentChars.least);
      expect(chars, file).toBeLessThanOrEqual(longDocumentChars.most);
    }
  });
});

describe('demo questions', () => {
  const all = questions.documents.flatMap((document) => document.questions.map((item) => ({ document, item })));

  it('are thirteen, four for each long document, with unique ids', () => {
    expect(questions.version).toBe(1);
    expect(all).toHaveLength(13);
    for (const file of longDocuments) {
      expect(questions.documents.find((document) => document.file === file)?.questions, file).toHaveLength(4);
    }
    expect(new Set(all.map(({ item }) => item.id)).size).toBe(all.length);
    for (const { item } of all) expect(item.id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  for (const { document, item } of all.filter((entry) => entry.item.found)) {
    it(`${item.id} quotes words of the page it names`, () => {
      const page = readPages(document.file)[(item.page ?? 0) - 1];
      expect(page).toContain(item.quote ?? fail(item.id));
      expect(item.quote?.length).toBeGreaterThan(10);
      expect(item.quote?.length).toBeLessThanOrEqual(quoteChars);
      expect(item.answer).not.toBeNull();
    });
  }

  const absent = all.filter((entry) => !entry.item.found);

  it('ask each long document for one thing it does not say', () => {
    expect(absent.map(({ document }) => document.file).sort()).toEqual([...longDocuments].sort());
    expect(absent.map(({ item }) => item.id).sort()).toEqual(Object.keys(absentWords).sort());
  });

  for (const { document, item } of absent) {
    it(`${item.id} has no answer in its document`, () => {
      expect(item).toMatchObject({ answer: null, page: null, quote: null });
      expect(readPages(document.file).join('\n')).not.toMatch(absentWords[item.id] ?? /^/);
    });
  }

  it('have computed answers that follow from the quoted rows', () => {
    const rows = (id: string) =>
      readTables(all.find(({ item }) => item.id === id)?.item.quote ?? '').flatMap((table) =>
        table.map((row) => row.map((cell) => parseCell(cell) ?? Number.NaN)),
      );
    const answer = (id: string) => all.find(({ item }) => item.id === id)?.item.answer;
    const [desk, scanning] = rows('desk-and-scanning-sum');
    expect((desk?.[1] ?? 0) + (scanning?.[1] ?? 0)).toBe(answer('desk-and-scanning-sum'));
    const [service] = rows('service-growth');
    expect((service?.[3] ?? 0) - (service?.[2] ?? 0)).toBeCloseTo(answer('service-growth') as number, 5);
    const regions = readTables(readPages('incident-report.md')[6] ?? '')[0]?.slice(2, -1) ?? [];
    const most = [...regions].sort((left, right) => (parseCell(right[2] ?? '') ?? 0) - (parseCell(left[2] ?? '') ?? 0));
    expect(most[0]?.[0]).toBe(answer('most-delayed-region'));
  });
});

function fail(id: string): never {
  throw new Error(`question ${id} is said to be answered and has no quote`);
}
