import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { Automaton, type Node } from '../../../../src/engine/structured/automaton.ts';
import { CompiledGrammar } from '../../../../src/engine/structured/compiled-grammar.ts';
import type { SchemaObject } from '../../../../src/engine/structured/json-schema.ts';
import { MaskFinder } from '../../../../src/engine/structured/mask-finder.ts';
import { NodeClasses } from '../../../../src/engine/structured/node-classes.ts';
import { compileSchemaGrammar } from '../../../../src/engine/structured/schema-grammar.ts';
import { StateClasses } from '../../../../src/engine/structured/state-classes.ts';
import { applyMask } from '../../../../src/engine/structured/token-mask.ts';
import { TokenTrie } from '../../../../src/engine/structured/token-trie.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { buildAnswerSchema } from '../../../../src/pipeline/answer.schema.ts';
import { testModelDir } from '../../../support/test-model.ts';

type Tokens = readonly Uint8Array[];

/** Every byte; runs, words and joints of JSON; characters of two to four bytes, whole, cut off, and continued. */
const crafted: Tokens = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...[2, 3, 4, 7, 12, 13, 20, 40, 41].flatMap((length) =>
    ['a', ' ', '0', '漢', 'é'].map((text) => text.repeat(length)),
  ),
  ...[
    'ab',
    'abc',
    'true',
    'null',
    '"a',
    '":',
    '","',
    '":"',
    '"}',
    '"]',
    '"},{"',
    'a"',
    'a","b',
    '{"',
    '[[',
    ']]',
    ']]]',
  ],
  ...[
    '}}',
    '}]',
    ',1',
    ',1,1',
    '1,1',
    '[1,1,1,1',
    '-1',
    '.5',
    '1e5',
    '\\"',
    '\\n',
    'a\\',
    '\\u00',
    'e9',
    'a\n',
    '👍',
    'a👍漢',
  ],
  ...['{"v":', '1,"n":', '"k":"', 'x-1', 'é"', '2024-', '-0'],
].map((token) => (typeof token === 'string' ? Uint8Array.from(Buffer.from(token)) : token));
const broken: Tokens = [
  [0xe6, 0xbc],
  [0xa2, 0x61],
  [0x61, 0xe6],
  [0x61, 0xf0, 0x9f],
  [0x91, 0x8d],
  [0xf0, 0x9f, 0x91],
  [0xe6, 0xbc, 0xa2, 0xe6],
  [0x61, 0xc0],
  [0xed, 0xa0, 0x80],
  [0x61, 0xff, 0x61],
].map((bytes) => Uint8Array.from(bytes));
const small: Tokens = [...crafted, ...broken, new Uint8Array(0), Uint8Array.from(Buffer.from('ab'))];

/** Runs that end in whatever may follow a repetition, all up to one length, so that each border of one is met exactly. */
const tight: Tokens = ['a', '漢', '1,', '[],', '"a",'].flatMap((part) =>
  ['', '"', '",', '"}', '"]', '"],', '1]', '1]}', ']', '[]]}'].flatMap((end) => {
    const runs = Array.from({ length: 13 }, (_, count) => Buffer.from(part.repeat(count) + end));
    return runs.filter(({ length }) => length > 0 && length <= 12).map((bytes) => Uint8Array.from(bytes));
  }),
);

let nano: Tokens;

beforeAll(async () => {
  const tokenizer = await openTokenizer(testModelDir);
  nano = Array.from({ length: tokenizer.vocabularySize }, (_, id) => tokenizer.tokenBytes(id));
});

const schemas: readonly (readonly [string, SchemaObject])[] = [
  ['an analysis answer', buildAnswerSchema({ type: 'string', maxLength: 30 }, 3, 30)],
  ['any object', { type: 'object' }],
  ['a long string', { type: 'string', maxLength: 150 }],
  ['a short string', { type: 'string', minLength: 5, maxLength: 45 }],
  ['a long string at least', { type: 'string', minLength: 60 }],
  [
    'one of two strings',
    {
      anyOf: [
        { type: 'string', maxLength: 4 },
        { type: 'string', minLength: 50, maxLength: 60 },
      ],
    },
  ],
  ['a string or words', { anyOf: [{ type: 'string', maxLength: 20 }, { enum: ['aaaa漢', 'true', null] }] }],
  ['a repeated pattern', { type: 'string', pattern: '^([a-c]{2,5}-){3,60}$' }],
  ['patterns inside patterns', { type: 'string', pattern: '^((a{1,30}b?){2,9}漢{0,50}|[^a]{40,55})$' }],
  ['a pattern somewhere', { type: 'string', pattern: 'a{60}' }],
  ['a pattern with a place for every text', { type: 'string', pattern: 'a.{11}$' }],
  ['a pattern that may be empty', { type: 'string', pattern: '^(a?){45}(b*){3,80}$' }],
  [
    'a list of many',
    { type: 'array', items: { type: 'integer', minimum: 0, maximum: 12 }, minItems: 40, maxItems: 90 },
  ],
  ['lists of lists', { type: 'array', items: { type: 'array', items: { enum: [1, 'a'] }, maxItems: 6 }, maxItems: 50 }],
  ['a map', { type: 'object', additionalProperties: { type: 'string', maxLength: 44 }, maxProperties: 45 }],
  [
    'a value inside itself',
    { properties: { v: { type: 'integer' }, n: { anyOf: [{ $ref: '#' }, { type: 'null' }] } } },
  ],
  ['a number', { type: 'number' }],
  ['a range', { type: 'number', minimum: -0.25, exclusiveMaximum: 1205.5 }],
];

/** Each token by itself, byte by byte, in an automaton that no mask has walked. */
class Oracle {
  readonly #automaton: Automaton;
  readonly #tokens: Tokens;
  #node: Node;

  constructor(schema: SchemaObject, tokens: Tokens) {
    const { network, root } = compileSchemaGrammar(schema);
    this.#automaton = new Automaton(network, root, () => new Error('ambiguous'));
    this.#tokens = tokens;
    this.#node = this.#automaton.initial;
  }

  listAllowed(): readonly number[] {
    return [...this.#tokens.keys()].filter((id) => this.#read(id) !== null);
  }

  accept(id: number): void {
    this.#node = this.#read(id) as Node;
  }

  #read(id: number): Node | null {
    const bytes = this.#tokens[id] as Uint8Array;
    let node: Node | null = bytes.length === 0 ? null : this.#node;
    for (const byte of bytes) node = node === null ? null : this.#automaton.step(node, byte);
    return node;
  }
}

/** The same texts by the masks and by the oracle, with one compiled grammar for all of them. */
class Comparison {
  readonly #schema: SchemaObject;
  readonly #tokens: Tokens;
  readonly #trie: TokenTrie;
  readonly compiled: CompiledGrammar;

  constructor(schema: SchemaObject, tokens: Tokens) {
    this.#schema = schema;
    this.#tokens = tokens;
    this.#trie = new TokenTrie(tokens.length, (id) => tokens[id] as Uint8Array);
    this.compiled = new CompiledGrammar(schema, this.#trie);
  }

  /** @param picks of each step, from 0 to 1, which of the allowed tokens is taken */
  follow(picks: readonly number[]): void {
    const oracle = new Oracle(this.#schema, this.#tokens);
    let node = this.compiled.automaton.initial;
    for (const pick of picks) {
      const allowed = oracle.listAllowed();
      expect(this.#listAllowed(node)).toEqual(allowed);
      const id = allowed[Math.floor(pick * allowed.length)];
      if (id === undefined) return;
      oracle.accept(id);
      for (const byte of this.#tokens[id] as Uint8Array) node = this.compiled.automaton.step(node, byte) as Node;
    }
  }

  /** At every byte of a text. */
  read(text: string): void {
    const automaton = this.compiled.automaton;
    const oracle = new Oracle(this.#schema, [...this.#tokens, ...crafted.slice(0, 256)]);
    let node = automaton.initial;
    for (const byte of Buffer.from(text)) {
      expect(this.#listAllowed(node)).toEqual(oracle.listAllowed().filter((id) => id < this.#tokens.length));
      oracle.accept(this.#tokens.length + byte);
      node = automaton.step(node, byte) as Node;
    }
  }

  #listAllowed(node: Node): readonly number[] {
    const logits = new Float32Array(this.#tokens.length + 3);
    applyMask(logits, this.compiled.masks.find(node), this.#trie, []);
    return [...logits.keys()].filter((id) => logits[id] === 0);
  }
}

const anyPicks = fc.array(fc.double({ min: 0, max: 0.999999, noNaN: true }), { minLength: 8, maxLength: 60 });

describe('MaskFinder', () => {
  it.each(schemas)('allows exactly the tokens that can follow, wherever a text is: %s', (_, schema) => {
    const comparison = new Comparison(schema, small);
    fc.assert(
      fc.property(anyPicks, (picks) => comparison.follow(picks)),
      { seed: 5, numRuns: 15 },
    );
  });

  it.each(schemas.slice(0, 5))('does so with the vocabulary of a model: %s', (_, schema) => {
    const comparison = new Comparison(schema, nano);
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 0.999999, noNaN: true }), { maxLength: 25 }), (picks) =>
        comparison.follow(picks),
      ),
      { seed: 6, numRuns: 4 },
    );
  });

  it.each<readonly [string, SchemaObject, string]>([
    ['a string with a limit', { type: 'string', maxLength: 40 }, `"${'a'.repeat(40)}"`],
    ['a string with a least length', { type: 'string', minLength: 30, maxLength: 60 }, `"${'a'.repeat(60)}"`],
    ['no string without a least length', { type: 'string', minLength: 40 }, `"${'a漢'.repeat(40)}"`],
    ['a pattern that counts', { type: 'string', pattern: '^a{25,50}$' }, `"${'a'.repeat(50)}"`],
    ['a pattern of pairs', { type: 'string', pattern: '^(aa){15,30}$' }, `"${'a'.repeat(60)}"`],
    [
      'a pattern that counts counts',
      { type: 'string', pattern: '^((a{3,20}|漢){2,20}漢?){2,9}$' },
      `"${'aaa漢'.repeat(30)}"`,
    ],
    ['a list of numbers', { items: { const: 1 }, minItems: 15, maxItems: 30 }, `[${'1,'.repeat(29)}1]`],
    ['a list of lists', { items: { items: { const: 1 }, maxItems: 20 }, maxItems: 20 }, `[${'[],'.repeat(19)}[1,1,1]]`],
    ['a list of texts', { items: { const: 'a' }, minItems: 9, maxItems: 20 }, `[${'"a",'.repeat(19)}"a"]`],
    [
      'lists behind each other',
      {
        properties: { p: { items: { const: 1 }, maxItems: 20 }, q: { type: 'string', maxLength: 20 } },
        required: ['p', 'q'],
      },
      `{"p":[${'1,'.repeat(19)}1],"q":"${'a'.repeat(20)}"}`,
    ],
    [
      'strings in lists in lists',
      { items: { items: { type: 'string', maxLength: 20 }, maxItems: 3 }, maxItems: 3 },
      `[["${'a'.repeat(20)}","a","a"],["${'a'.repeat(18)}"],["aaaa","aa","a"]]`,
    ],
    [
      'one string in two places',
      {
        $defs: { ten: { type: 'string', minLength: 10, maxLength: 10 } },
        properties: { q: { items: { $ref: '#/$defs/ten' } }, p: { $ref: '#/$defs/ten' } },
        required: ['q', 'p'],
      },
      `{"q":["${'a'.repeat(10)}","${'a'.repeat(10)}"],"p":"${'a'.repeat(10)}"}`,
    ],
  ])('allows exactly the tokens that can follow at every byte of %s', (_, schema, text) => {
    new Comparison(schema, tight).read(text);
  });

  it('finds one mask for all places of a repetition that no token tells apart', () => {
    const { compiled } = new Comparison({ type: 'string', maxLength: 2000 }, small);
    let node = compiled.automaton.step(compiled.automaton.initial, 0x22) as Node;
    const masks = new Set();
    for (let length = 0; length <= 2000; length++) {
      masks.add(compiled.masks.find(node));
      node = compiled.automaton.step(node, 0x61) as Node;
    }
    // the longest token has 123 bytes: from there on every place is its own, and before them all are one
    expect(masks.size).toBe(124);
  });

  it('gives up a proof that takes too long, and walks instead', () => {
    const { compiled } = new Comparison({ type: 'string', pattern: 'a.{18}$' }, nano);
    compiled.masks.find(compiled.automaton.step(compiled.automaton.initial, 0x22) as Node);
    expect(compiled.automaton.work).toBeLessThan(500_000);
  });

  it('refuses a schema under which a mask takes too long', () => {
    const { network, root, shortest } = compileSchemaGrammar({ type: 'string', pattern: 'a.{30}$' });
    const automaton = new Automaton(network, root, () => new Error('too many ways'));
    const trie = new TokenTrie(nano.length, (id) => nano[id] as Uint8Array);
    const classes = new NodeClasses(new StateClasses(network, shortest), shortest, trie.longest);
    const node = automaton.step(automaton.initial, 0x22) as Node;
    expect(() => new MaskFinder(trie, automaton, classes, 5_000).find(node)).toThrowError('too many ways');
    expect(automaton.work).toBeLessThan(100_000);
    expect(new MaskFinder(trie, automaton, classes).find(node).type).toBe('bits');
  });

  it('finds masks again after it has forgotten them', () => {
    const comparison = new Comparison({ type: 'object' }, small);
    comparison.follow([0.1, 0.9, 0.5, 0.5]);
    comparison.compiled.masks.forget();
    expect(comparison.compiled.masks.bytes).toBe(0);
    comparison.follow([0.1, 0.9, 0.5, 0.5]);
    expect(comparison.compiled.masks.bytes).toBeGreaterThan(0);
  });
});
