import type { Tokenizer } from '../../src/engine/ports.ts';
import { SeededRandom } from '../../src/engine/sample/random.ts';
import { openTokenDecoder } from '../../src/engine/tokenizer/token-decoder.ts';

/** As many entries as Kimi K2 has: 163,584 of text, 256 special ones. */
const textTotal = 163_584;
const specialTotal = 256;

const specialNames = [
  '[BOS]',
  '[EOS]',
  '<|im_end|>',
  '<think>',
  '</think>',
  '<|tool_calls_section_begin|>',
  '<|tool_calls_section_end|>',
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
];

/**
 * A byte-level vocabulary of the make-up of a large one: single bytes, words with and without a space or a capital, the
 * pieces that lead to them, runs of white space and of signs up to 128 bytes, numbers, joints of code and JSON, Chinese
 * and Cyrillic. The words are made up; their lengths are what matters.
 */
export function buildSyntheticTokenizer(): Tokenizer {
  const tokens = [...collectTokens()].slice(0, textTotal);
  const byteTokens = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const texts: readonly Uint8Array[] = [
    ...byteTokens,
    ...tokens.slice(0, textTotal - 256).map((text) => Uint8Array.from(Buffer.from(text, 'utf8'))),
  ];
  const none = new Uint8Array(0);
  const tokenBytes = (id: number): Uint8Array => texts[id] ?? none;
  const ids = new Map(texts.map((bytes, id) => [Buffer.from(bytes).toString('latin1'), id]));
  return {
    vocabularySize: texts.length + specialTotal,
    tokenBytes,
    encodePlain: (text) => encodeGreedily(Buffer.from(text, 'utf8').toString('latin1'), ids),
    specialId: (token) => texts.length + Math.max(specialNames.indexOf(token), 0),
    decode: (some) => Buffer.concat(some.map(tokenBytes)).toString('utf8'),
    openDecoder: () => openTokenDecoder(tokenBytes),
  };
}

function encodeGreedily(bytes: string, ids: ReadonlyMap<string, number>): number[] {
  const encoded: number[] = [];
  for (let start = 0; start < bytes.length; ) {
    let length = Math.min(64, bytes.length - start);
    while (length > 1 && !ids.has(bytes.slice(start, start + length))) length--;
    encoded.push(ids.get(bytes.slice(start, start + length)) ?? 0);
    start += length;
  }
  return encoded;
}

function collectTokens(): Set<string> {
  const tokens = new Set<string>();
  const add = (text: string): void => {
    // single bytes are there already
    if (Buffer.byteLength(text) > 1) tokens.add(text);
  };
  for (let number = 10; number < 1000; number++) add(String(number));
  for (let number = 0; number < 100; number++) add(String(number).padStart(2, '0'));
  for (let number = 0; number < 1000; number++) add(String(number).padStart(3, '0'));
  for (let length = 2; length <= 128; length++) {
    add(' '.repeat(length));
    if (length <= 64) for (const sign of '-=*#_./\t\n~+') add(sign.repeat(length));
  }
  for (const newline of ['\n', '\n\n', '\r\n']) {
    for (let length = 1; length <= 40; length++) add(newline + ' '.repeat(length));
    for (let length = 1; length <= 12; length++) add(newline + '\t'.repeat(length));
  }
  addJoints(add);
  const random = new SeededRandom(7);
  addHan(random, add);
  const alphabets = [
    { total: 16_000, onsets: [...'бвгджзклмнпрстфхцчш'], vowels: [...'аеиоуыэюя'] },
    {
      total: Number.POSITIVE_INFINITY,
      onsets: ['b', 'c', 'd', 'f', 'g', 'h', 'j', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'w', 'st', 'tr', 'ch', 'pl'],
      vowels: ['a', 'e', 'i', 'o', 'u', 'ea', 'io', 'er', 'an', 'in', 'on', 'es'],
    },
  ];
  for (const { total, onsets, vowels } of alphabets) {
    const end = Math.min(tokens.size + total, textTotal - 256);
    while (tokens.size < end) addWord(random, onsets, vowels, add);
  }
  return tokens;
}

/** What stands between words in JSON and in code. */
function addJoints(add: (text: string) => void): void {
  const signs = [...'"\'`,:;.()[]{}<>=+-*/%&|!?$#@^~\\_ '];
  for (const a of signs) {
    for (const b of signs) {
      add(a + b);
      for (const c of '",:(){}[]=\n ') add(a + b + c);
    }
  }
  for (const text of [
    '":"',
    '","',
    '":[',
    '"},{"',
    '"}]',
    '":{"',
    '\\"',
    '\\n',
    '\\u00',
    '":null,"',
    '":true',
    '());\n',
  ]) {
    add(text);
  }
}

function addHan(random: SeededRandom, add: (text: string) => void): void {
  const character = (): string => String.fromCodePoint(0x4e00 + Math.floor(random.next() ** 2 * 6000));
  for (let code = 0x4e00; code < 0x4e00 + 6000; code++) add(String.fromCodePoint(code));
  for (let count = 0; count < 34_000; count++) {
    const length = 2 + Math.floor(random.next() ** 4 * 9);
    add(Array.from({ length }, character).join(''));
  }
}

/** A word, its spellings, and the pieces that a merge table makes it of: its beginnings. */
function addWord(
  random: SeededRandom,
  onsets: readonly string[],
  vowels: readonly string[],
  add: (text: string) => void,
): void {
  const pick = (list: readonly string[]): string => list[Math.floor(random.next() * list.length)] ?? '';
  const syllables = Array.from({ length: 1 + Math.floor(random.next() ** 2 * 6) }, () => pick(onsets) + pick(vowels));
  const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
  const variants = [
    (text: string) => ` ${text}`,
    ...(random.next() < 0.5 ? [(text: string) => text] : []),
    ...(random.next() < 0.3 ? [(text: string) => ` ${capitalized(text)}`] : []),
    ...(random.next() < 0.2 ? [capitalized] : []),
    ...(random.next() < 0.05 ? [(text: string) => `_${text}`] : []),
    ...(random.next() < 0.05 ? [(text: string) => `.${text}`] : []),
    ...(random.next() < 0.02 ? [(text: string) => `"${text}`] : []),
  ];
  for (const spell of variants) {
    for (let end = 1; end <= syllables.length; end++) add(spell(syllables.slice(0, end).join('')));
  }
  const word = syllables.join('');
  if (random.next() < 0.05) add(word.toUpperCase());
  if (random.next() < 0.05) add(`${word}${capitalized(pick(onsets) + pick(vowels))}`);
}
