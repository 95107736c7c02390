import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as OracleTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../../src/engine/ports.ts';
import { buildTokenizer, openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { parseTokenizerFile } from '../../../../src/engine/tokenizer/tokenizer-file.ts';
import { testModelDir } from '../../../support/test-model.ts';

const vocabularySize = 4096;

type Json = Record<string, unknown>;

const readJson = async (name: string): Promise<Json> => JSON.parse(await readFile(join(testModelDir, name), 'utf8'));

let tokenizer: Tokenizer;
let file: Json;
let oracle: OracleTokenizer;
let folder: string;

beforeAll(async () => {
  tokenizer = await openTokenizer(testModelDir, vocabularySize);
  file = await readJson('tokenizer.json');
  oracle = new OracleTokenizer(file, await readJson('tokenizer_config.json'));
  folder = await mkdtemp(join(tmpdir(), 'quire-tokenizer-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const encodeByOracle = (text: string, by: OracleTokenizer = oracle): readonly number[] =>
  by.encode(text, { add_special_tokens: false }).ids;

const samples: readonly (readonly [string, string])[] = [
  ['prose', 'The parties agree that, subject to clause 6.1, neither party is liable for loss of profit.'],
  ['contractions', "it's we're I'll they'd DON'T You've i'M"],
  ['camel case', 'parseHttpRequest XMLHttpRequest getIDs McDonald'],
  ['numbers', '1,048 of 312 are 29.77% · ½ ² ٣'],
  ['code', 'for (const x of xs) {\n\tif (x?.y !== 0) return a[x];\n}\r\n\r\n'],
  ['json', '{"answer":"60 days","citations":[{"document":1,"page":9,"quote":"by giving"}],"found":true}'],
  ['white space', '  a   b\t\tc \n \n\n   d    \n'],
  ['only white space', '     \n\n   '],
  ['chinese beside latin', 'abc漢字def 天气 weather天气'],
  ['japanese and korean', '東京タワー ひらがな カタカナ 서울시'],
  ['emoji', '👩‍👩‍👧 🏳️‍🌈 ok👍🏽!'],
  ['combining marks', 'e\u0301te\u0301 ÀÉÎ ǅungla'],
  ['arabic and hindi', 'السلام عليكم नमस्ते'],
  ['punctuation runs', '....!!!???---___***\n###'],
];

describe('openTokenizer', () => {
  it.each(samples)('gives the ids of the reference implementation for %s', (_, text) => {
    const ids = tokenizer.encodePlain(text);
    expect(ids).toEqual(encodeByOracle(text));
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('gives the ids of the reference implementation for random text', () => {
    const pieces = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      // not what the reference means by white space: U+0085 and U+FEFF
      fc.constantFrom(' ', '\n', '\r\n', '\t', ' the', 'ING', '123', "'s", '漢', '\u2003', '\u3000'),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join('').replace(/[\u0085\ufeff]|<|\[/g, '');
        expect(tokenizer.encodePlain(text)).toEqual(encodeByOracle(text));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  it.each([
    [
      'Llama 3',
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ],
    [
      'DeepSeek V3',
      '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
    ],
  ])('splits by the pattern of %s as the reference does', (_, pattern) => {
    const preTokenizer = {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    };
    const changed = { ...file, pre_tokenizer: preTokenizer };
    const other = buildTokenizer(parseTokenizerFile(changed));
    const reference = new OracleTokenizer(changed, {});
    for (const [, text] of samples) expect(other.encodePlain(text)).toEqual(encodeByOracle(text, reference));
  });

  it('keeps special tokens in text as text', () => {
    const specials = (file['added_tokens'] as { content: string; id: number }[]).map(({ content }) => content);
    const text = `a ${specials.join(' ')} </think><|im_end|><|im_assistant|>assistant<|im_middle|>`;
    const ids = tokenizer.encodePlain(text);
    const lowest = Math.min(...specials.map((token) => tokenizer.specialId(token)));
    expect(ids.every((id) => id < lowest)).toBe(true);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('gives special tokens an id and no bytes, flagged special or not', () => {
    for (const token of ['<|im_end|>', '<think>', '</think>', '[EOS]']) {
      const id = tokenizer.specialId(token);
      expect(tokenizer.tokenBytes(id).length).toBe(0);
    }
    const [end, text] = [tokenizer.specialId('<|im_end|>'), tokenizer.encodePlain('yes')];
    expect(tokenizer.decode([end, ...text, end])).toBe('yes');
  });

  it('replaces lone surrogates and keeps a byte order mark', () => {
    expect(tokenizer.decode(tokenizer.encodePlain('a\ud800b\udc00'))).toBe('a\ufffdb\ufffd');
    expect(tokenizer.decode(tokenizer.encodePlain('\ufeffa'))).toBe('\ufeffa');
  });

  it.each([
    ['one letter', 'a'.repeat(200_000)],
    ['two letters', 'th'.repeat(100_000)],
    ['spaces', ' '.repeat(200_000)],
    ['combining marks', '\u0301'.repeat(100_000)],
    ['characters beyond 16 bits', '😀'.repeat(50_000)],
    ['long lines', `${'word '.repeat(100)}\n`.repeat(1000)],
  ])('encodes a hostile run of %s in linear time and without loss', (_, text) => {
    const startMs = performance.now();
    const ids = tokenizer.encodePlain(text);
    // quadratic merging would take minutes; the bound is wide because tests share two cores
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('decodes as it goes exactly what it decodes at once, and no half characters', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: vocabularySize - 1 }), { maxLength: 40 }), (ids) => {
        const decoder = tokenizer.openDecoder();
        const streamed = ids.map((id) => decoder.push(id)).join('') + decoder.flush();
        expect(streamed).toBe(tokenizer.decode(ids));
      }),
      { seed: 3, numRuns: 200 },
    );
    const decoder = tokenizer.openDecoder();
    const pushed = tokenizer.encodePlain('漢').map((id) => decoder.push(id));
    expect(pushed).toEqual(['', '', '漢']);
  });
});

describe('openTokenizer on a bad folder', () => {
  const open = async (content: unknown, size?: number): Promise<Tokenizer> => {
    await writeFile(join(folder, 'tokenizer.json'), typeof content === 'string' ? content : JSON.stringify(content));
    return openTokenizer(folder, size);
  };
  const refusal = (message: RegExp) => ({ code: 'input.model-folder', message: expect.stringMatching(message) });

  it('rejects a folder without a tokenizer', async () => {
    await expect(openTokenizer(join(folder, 'none'))).rejects.toMatchObject(
      refusal(/has no tokenizer\.json or tiktoken\.model$/),
    );
  });

  it('rejects what is not JSON', async () => {
    await expect(open('{')).rejects.toMatchObject(refusal(/tokenizer\.json is not JSON/));
  });

  it('rejects a tokenizer without special tokens', async () => {
    await expect(open({ ...file, added_tokens: [] })).rejects.toMatchObject(refusal(/added_tokens is \[\], allowed/));
  });

  it('rejects a vocabulary larger than the model has', async () => {
    await expect(open(file, 4095)).rejects.toMatchObject(refusal(/highest token id is 4095, allowed.*4095 entries/));
  });

  it.each([
    ['another kind of model', { model: { type: 'WordPiece' } }, /model\.type is "WordPiece", allowed: BPE/],
    ['an unknown normalizer', { normalizer: { type: 'Lowercase' } }, /normalizer is .*Lowercase.*, allowed: null, NFC/],
    ['an unknown split step', { pre_tokenizer: { type: 'Whitespace' } }, /pre_tokenizer\.type is "Whitespace"/],
    [
      'a possessive pattern',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '\\p{L}++' }, behavior: 'Isolated' } },
      /possessive quantifier/,
    ],
  ])('rejects %s', async (_, change, message) => {
    await expect(open({ ...file, ...change })).rejects.toMatchObject(refusal(message));
  });

  it('rejects a merge that would make a special token out of text', async () => {
    const model = file['model'] as { vocab: Record<string, number>; merges: unknown[] };
    const vocab = { ...model.vocab, '<think>': 4092, '<thin': 12, 'k>': 13 };
    const merges = [...model.merges, ['<thin', 'k>']];
    await expect(open({ ...file, model: { ...model, vocab, merges } })).rejects.toMatchObject(refusal(/model\.merges/));
  });

  it('names a special token that is missing', () => {
    const token = '<|no_such_token|>';
    expect(() => tokenizer.specialId(token)).toThrowError(expect.objectContaining(refusal(/has no special token/)));
  });
});
