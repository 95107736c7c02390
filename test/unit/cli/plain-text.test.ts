import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderTable } from '../../../src/cli/output.ts';
import { columnsOf, cutToColumns, toPlainLine, toPlainText } from '../../../src/cli/plain-text.ts';

describe('plain text', () => {
  it('has no control character but tab and line feed, whatever went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(toPlainText(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
        expect(toPlainLine(text)).not.toMatch(/[\n\t]/);
      }),
    );
  });

  it('is cut to columns without breaking a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 2, max: 20 }), (text, columns) => {
        const cut = cutToColumns(text, columns);
        expect(columnsOf(cut)).toBeLessThanOrEqual(columns);
        expect(cut === text || text.startsWith(cut.slice(0, -1))).toBe(true);
        expect(Buffer.from(cut).toString()).toBe(cut);
      }),
    );
  });

  it('counts characters of East Asian scripts twice', () => {
    expect(columnsOf('ab契約')).toBe(6);
    expect(cutToColumns('契約書面', 6)).toBe('契約…');
  });
});

describe('renderTable', () => {
  it('lines columns up by what is seen', () => {
    const table = renderTable(
      ['line', 'answer'],
      [
        ['契約', 'yes'],
        ['lease', 'a\nb\x1b[31m'],
      ],
    );
    expect(table.split('\n')).toEqual(['line   answer', '─────  ────────', '契約   yes', 'lease  a b·[31m']);
  });
});
