import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as OracleTokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kimiPattern } from '../../../../src/engine/tokenizer/kimi-pattern.ts';
import { parseTiktokenFile } from '../../../../src/engine/tokenizer/tiktoken-file.ts';
import { buildTokenizer, openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { parseTokenizerFile } from '../../../../src/engine/tokenizer/tokenizer-file.ts';
import {
  convertToJson,
  encodeTiktoken,
  kimiNames,
  specialNames,
  trainBytePairs,
} from '../../../support/synthetic-tiktoken.ts';

const corpus = [
  ...' the parties agree that neither party is liable for loss of profit under this agreement thereof'.split(/(?= )/),
  ...' They are there and then the other one is another: the theory of agreement'.split(/(?= )/),
  ...["it's", " we're", " DON'T", ' HTTPServer', 'parseHttp', ' 128', ' tools', '\n\n', '  ', '    '],
  ...['天气', '天气预报', '漢字', '東京', ' größer', ' naïve', 'é', '👍🏽', 'ſ', 'السلام'],
].flatMap((word) => [word, word, word]);

const tokens = trainBytePairs(corpus, 220);
const base = tokens.length;
const names = specialNames(base, kimiNames);
const tokenizer = buildTokenizer(parseTiktokenFile(encodeTiktoken(tokens), names));
const json = convertToJson(tokens, kimiPattern);
const converted = buildTokenizer(parseTokenizerFile(json));

/** The definition of tiktoken, on the pieces that the reference implementation cuts. */
function encodePlainly(piece: string): readonly number[] {
  const ranks = new Map(tokens.map((token, rank) => [token, rank]));
  const bytes = Buffer.from(piece, 'utf8').toString('latin1');
  const whole = ranks.get(bytes);
  if (whole !== undefined) return [whole];
  const parts = [...bytes];
  for (;;) {
    const joined = parts.slice(1).map((part, index) => ranks.get(`${parts[index]}${part}`) ?? Number.POSITIVE_INFINITY);
    const best = Math.min(...joined);
    if (!Number.isFinite(best)) return parts.map((part) => ranks.get(part) ?? -1);
    const at = joined.indexOf(best);
    parts.splice(at, 2, `${parts[at]}${parts[at + 1]}`);
  }
}

const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom(...corpus, ' ', '\n', '\r\n', '\t', "'S", "'ſ", '\u0085', '\ufeff', '\u3000', 'AGREE', '12345'),
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(''));

describe('a tokenizer from tiktoken.model', () => {
  it('gives the ids of its conversion to tokenizer.json', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encodePlain(text);
        expect(ids).toEqual(converted.encodePlain(text));
        expect(tokenizer.decode(ids)).toBe(text);
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  it('gives the ids of the reference implementation, where both mean the same by white space', () => {
    const oracle = new OracleTokenizer(json, {});
    fc.assert(
      fc.property(anyText, (text) => {
        const plain = text.replace(/[\u0085\ufeff<]/g, '');
        expect(tokenizer.encodePlain(plain)).toEqual(oracle.encode(plain, { add_special_tokens: false }).ids);
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  it('follows the definition on single pieces', () => {
    const word = fc.array(fc.constantFrom('t', 'h', 'e', 'r', 'o', 'f', 'a', 'g', 'é', '天', '气'), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(word, (letters) => {
        const piece = letters.join('').replaceAll(/[天气]/g, '');
        fc.pre(piece !== '');
        expect(tokenizer.encodePlain(piece)).toEqual(encodePlainly(piece));
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  it('takes a piece that is a token whole, even when its pairs would not get there', () => {
    const letters = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
    // nothing joins to `xyz` but `xyz` itself
    const odd = buildTokenizer(parseTiktokenFile(encodeTiktoken([...letters, 'xyz']), {}));
    expect(odd.encodePlain('xyz')).toEqual([256]);
    expect(odd.encodePlain('xyzx')).toEqual([...Buffer.from('xyzx')]);
  });

  it('keeps contractions, Chinese characters and digits apart as Kimi does', () => {
    const pieces = (text: string): readonly string[] => {
      const cut = parseTiktokenFile(encodeTiktoken(tokens), names).split(text);
      expect(cut.join('')).toBe(text);
      return cut;
    };
    expect(pieces("IT'S it'ſ 12345 天气abc")).toEqual(["IT'S", " it'ſ", ' ', '123', '45', ' ', '天气', 'abc']);
    expect(pieces('a\u0085\u0085\n1 \ufeffc')).toEqual(['a', '\u0085\u0085\n', '1', ' \ufeff', 'c']);
  });

  it('names 256 special tokens behind the ranks, which no text becomes', () => {
    expect(tokenizer.vocabularySize).toBe(base + 256);
    expect(tokenizer.specialId('<|im_end|>')).toBe(base + 2);
    expect(tokenizer.specialId('</think>')).toBe(base + 23);
    expect(tokenizer.specialId(`<|reserved_token_${base + 5}|>`)).toBe(base + 5);
    expect(tokenizer.tokenBytes(base + 5).length).toBe(0);
    expect(() => tokenizer.specialId('<|im_begin|>')).toThrow('tiktoken.model has no special token <|im_begin|>');
    const text = `<|im_end|><think>[EOS]<|reserved_token_${base + 5}|>`;
    const ids = tokenizer.encodePlain(text);
    expect(Math.max(...ids)).toBeLessThan(base);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('decodes as it goes and holds back half characters', () => {
    const decoder = tokenizer.openDecoder();
    const [first, second, third] = Buffer.from('氣');
    expect([first, second, third].map((byte) => decoder.push(byte ?? 0))).toEqual(['', '', '氣']);
  });

  it.each([
    ['one letter', 'a'.repeat(200_000)],
    ['capitals', 'A'.repeat(200_000)],
    ['a Thai run', 'ก'.repeat(60_000)],
    ['Chinese characters', '天气'.repeat(40_000)],
    ['spaces', ' '.repeat(200_000)],
    ['combining marks', '\u0301'.repeat(60_000)],
    ['punctuation', '-'.repeat(200_000)],
  ])('encodes a hostile run of %s in linear time and without loss', (_, text) => {
    const startMs = performance.now();
    const ids = tokenizer.encodePlain(text);
    // quadratic joining would take minutes; the bound is wide because tests share two cores
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('cuts runs of more than 25,000 characters, and text at 400,000, by code points', () => {
    const { split } = parseTiktokenFile(encodeTiktoken(tokens), names);
    const lengths = (text: string): readonly number[] => split(text).map((piece) => [...piece].length);
    expect(lengths('a'.repeat(60_000))).toEqual([25_000, 25_000, 10_000]);
    expect(lengths('𝒜'.repeat(50_001))).toEqual([25_000, 25_000, 1]);
    const lines = `${'x'.repeat(9_999)} `.repeat(41);
    const pieces = lengths(lines);
    // without the cut the piece that begins at 399,999 would be ` x…x`
    expect(pieces.reduce((sum, length) => sum + length, 0)).toBe(lines.length);
    expect(pieces.slice(0, 42).at(-2)).toBe(1);
  });
});

describe('parseTiktokenFile', () => {
  const lines = encodeTiktoken(tokens).trimEnd().split('\n');
  const parse = (change: (all: string[]) => readonly string[], config: unknown = names) =>
    parseTiktokenFile(change([...lines]).join('\n'), config);
  const refusal = (message: RegExp) =>
    expect.objectContaining({ code: 'input.model-folder', message: expect.stringMatching(message) });

  it('minds neither the order of lines, nor their ends, nor blank ones', () => {
    const ids = tokenizer.encodePlain(corpus.join(''));
    const mixed = parse((all) => [...all.reverse().map((line) => `${line}\r`), '', '\r', '']);
    expect(buildTokenizer(mixed).encodePlain(corpus.join(''))).toEqual(ids);
  });

  it.each<[string, (all: string[]) => readonly string[], RegExp]>([
    [
      'a gap',
      (all) => all.toSpliced(300, 1),
      /^tiktoken\.model: rank of line \d+ is \d+, allowed: 0 to \d+, each once/,
    ],
    ['a rank twice', (all) => all.with(7, all[7]?.replace(/\d+$/, '6') ?? ''), /^tiktoken\.model: rank of line 8 is 6/],
    [
      'a token twice',
      (all) => all.with(9, `${all[8]?.split(' ')[0]} 9`),
      /token of line 10 is ".* 9", allowed: each token once/,
    ],
    ['bad base64', (all) => all.with(2, 'A* 2'), /^tiktoken\.model: token of line 3 is "A\*", allowed: the base64/],
    ['base64 without its end', (all) => all.with(2, 'Ag 2'), /token of line 3 is "Ag"/],
    ['an empty token', (all) => all.with(2, ' 2'), /token of line 3 is "", allowed: the base64 of at least one byte/],
    ['no rank', (all) => all.with(2, 'Ag=='), /text of line 3 is "Ag==", allowed: base64, a space, a rank/],
    ['a rank that is none', (all) => all.with(2, 'Ag== 2.5'), /text of line 3 is "Ag== 2\.5"/],
    ['a negative rank', (all) => all.with(2, 'Ag== -2'), /text of line 3/],
    ['three columns', (all) => all.with(2, 'Ag== 2 2'), /text of line 3/],
  ])('rejects %s, naming the line', (_, change, message) => {
    expect(() => parse(change)).toThrow(refusal(message));
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', [], /tokenizer_config\.json: the file is \[\], allowed: a JSON object/],
    ['a decoder that is none', { added_tokens_decoder: [] }, /added_tokens_decoder is \[\], allowed: an object/],
    [
      'an id that text can have',
      { added_tokens_decoder: { 7: { content: '<x>' } } },
      /an id in added_tokens_decoder is "7", allowed: 416 to 671/,
    ],
    ['an id beyond the slots', specialNames(base, { 256: '<x>' }), /is "672", allowed: 416 to 671/],
    ['an id that is none', { added_tokens_decoder: { x: { content: '<x>' } } }, /is "x", allowed/],
    ['a token without name', { added_tokens_decoder: { 416: {} } }, /added_tokens_decoder 416 content is missing/],
    ['a name twice', specialNames(base, { 3: '<x>', 9: '<x>' }), /a name in added_tokens_decoder is "<x>", allowed/],
    ['the name of another slot', specialNames(base, { 3: '<|reserved_token_417|>' }), /"<\|reserved_token_417\|>"/],
  ])('rejects special tokens of %s', (_, config, message) => {
    expect(base).toBe(416);
    expect(() => parse((all) => all, config)).toThrow(refusal(message));
  });

  it('reads as many tokens as Kimi has', () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
    const pairs = bytes.flatMap((first) => bytes.map((second) => first + second));
    const triples = pairs.flatMap((pair) => [`${pair}a`, `${pair}b`]);
    const file = encodeTiktoken([...bytes, ...pairs, ...triples].slice(0, 163_584));
    const before = process.cpuUsage();
    const vocabulary = parseTiktokenFile(file, {});
    const { user, system } = process.cpuUsage(before);
    expect(vocabulary.tokenBytes).toHaveLength(163_840);
    // half a second where it was measured
    expect((user + system) / 1_000).toBeLessThan(3_000);
  }, 30_000);

  it('rejects a file that lacks a byte', () => {
    const vocabulary = parseTiktokenFile('AA== 0\n', {});
    expect(() => buildTokenizer(vocabulary)).toThrow(refusal(/tiktoken\.model: the token of byte 1 is missing/));
  });
});

describe('openTokenizer with tiktoken.model', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'quire-tiktoken-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);

  it('needs the special names, checks the size, and prefers tokenizer.json', async () => {
    await write('tiktoken.model', encodeTiktoken(tokens));
    await expect(openTokenizer(folder)).rejects.toMatchObject({
      code: 'input.model-folder',
      message: expect.stringMatching(
        /has tiktoken\.model but no tokenizer_config\.json, which names its special tokens$/,
      ),
    });
    await write('tokenizer_config.json', '{');
    await expect(openTokenizer(folder)).rejects.toMatchObject({
      message: expect.stringMatching(/config\.json is not JSON/),
    });
    await write('tokenizer_config.json', JSON.stringify(names));
    expect((await openTokenizer(folder, base + 256)).specialId('<think>')).toBe(base + 22);
    await expect(openTokenizer(folder, base + 255)).rejects.toMatchObject({
      message: expect.stringMatching(
        /^tiktoken\.model: highest token id is 671, allowed: the vocabulary of 671 entries/,
      ),
    });
    await write('tokenizer.json', JSON.stringify(json));
    expect((await openTokenizer(folder)).specialId('<|end|>')).toBe(base);
  });
});
