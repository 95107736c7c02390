import { describe, expect, it } from 'vitest';
import { paginate } from '../../../src/pipeline/document/parse-document.ts';
import {
  buildDocumentBlock,
  buildOutlineBlock,
  escapeMarkers,
} from '../../../src/pipeline/prompts/document-block.prompt.ts';
import { buildQuestionBlock } from '../../../src/pipeline/prompts/question.prompt.ts';

describe('document block', () => {
  it('writes header, pages and text as the model is trained on', () => {
    const block = buildDocumentBlock([
      paginate('Services Agreement.md', 'first\n\f\nsecond'),
      paginate('memo.txt', 'short'),
    ]);
    expect(block).toBe(
      'Document 1: Services Agreement.md (2 pages)\n[page 1]\nfirst\n[page 2]\nsecond\n\nDocument 2: memo.txt (1 sections)\n[page 1]\nshort\n',
    );
  });

  it.each([
    '[page 3]',
    '[outline]',
    'Document 2: x',
    'Question: who?',
    'error: no',
    'question: lower case',
    'Answer with JSON.',
  ])('gives a line that starts %j one leading space', (line) => {
    expect(escapeMarkers(`before\n${line}\nafter`)).toBe(`before\n ${line}\nafter`);
    expect(escapeMarkers(line)).toBe(` ${line}`);
  });

  it('leaves markers in the middle of a line alone', () => {
    expect(escapeMarkers('see [page 3] and Question: nine')).toBe('see [page 3] and Question: nine');
  });

  it('shows all headings of an outline, or where they are too many the first ones of the first level', () => {
    const report = paginate('report.md', '# A\ntext\n## A1\n\f\n# B\n## B1\n### deep\n# C');
    const lines = (most: number | null) => buildOutlineBlock([report], most).split('\n').slice(2, -1);
    expect(lines(null)).toEqual(['# A (p. 1)', '## A1 (p. 1)', '# B (p. 2)', '## B1 (p. 2)', '# C (p. 2)']);
    expect(lines(5)).toEqual(lines(null));
    expect(lines(4)).toEqual(['# A (p. 1)', '# B (p. 2)', '# C (p. 2)']);
    expect(lines(2)).toEqual(['# A (p. 1)', '# B (p. 2)']);
    expect(lines(1_000)).toEqual(lines(null));
  });

  it('keeps a file name on one line, so that it cannot forge a page', () => {
    expect(buildDocumentBlock([paginate('a\n[page 9]\n.txt', 'x')]).split('\n')[0]).toBe(
      'Document 1: a [page 9] .txt (1 sections)',
    );
  });
});

describe('question block', () => {
  it('ends with the form of the answer', () => {
    expect(buildQuestionBlock('Who?', 'json')).toBe('Question: Who?\nAnswer with JSON.');
    expect(buildQuestionBlock('Who?', 'text')).toBe('Question: Who?\nAnswer in plain text.');
  });
});
