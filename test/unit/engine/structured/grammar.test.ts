import { beforeAll, describe, expect, it } from 'vitest';
import type { AnswerFormat } from '../../../../src/engine/messages.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from '../../../../src/engine/ports.ts';
import { SeededRandom } from '../../../../src/engine/sample/random.ts';
import { openSampler } from '../../../../src/engine/sample/sampler.ts';
import { openGrammarCompiler } from '../../../../src/engine/structured/grammar.ts';
import { validateJson } from '../../../../src/engine/structured/json-schema.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { buildAnswerSchema } from '../../../../src/pipeline/answer.schema.ts';
import { neutralSampling } from '../../../support/neutral-sampling.ts';
import { testModelDir } from '../../../support/test-model.ts';

let tokenizer: Tokenizer;
let compiler: GrammarCompiler;
let stopId: number;

beforeAll(async () => {
  tokenizer = await openTokenizer(testModelDir);
  stopId = tokenizer.specialId('<|im_end|>');
  compiler = openGrammarCompiler(tokenizer, [stopId]);
});

type Schema = Readonly<Record<string, unknown>>;

const schemaFormat = (schema: Schema): AnswerFormat & { type: 'json-schema' } => ({ type: 'json-schema', schema });

interface Written {
  readonly text: string;
  readonly complete: boolean;
}

/** Enough different rows of noise for the longest answer; a row begins anywhere in it. */
const noise = ((random) => Float32Array.from({ length: 3 * 4096 }, () => random.next() * 4))(new SeededRandom(1));

/** What a model that knows nothing writes: random logits, masked, sampled. */
function writeAtRandom(format: Exclude<AnswerFormat, { type: 'text' }>, seed: number, most: number): Written {
  const grammar = compiler.compile(format);
  const random = new SeededRandom(seed);
  const rows = tokenizer.vocabularySize;
  const sampler = openSampler({ ...neutralSampling, seed }, { vocabularySize: rows, promptIds: [], draws: 0 });
  const ids: number[] = [];
  while (ids.length < most) {
    if (grammar.isComplete()) return { text: tokenizer.decode(ids), complete: true };
    const start = Math.floor(random.next() * (noise.length - rows));
    const logits = noise.slice(start, start + rows);
    grammar.mask(logits);
    const id = sampler.sample(logits);
    grammar.accept(id);
    if (id === stopId) return { text: tokenizer.decode(ids), complete: true };
    ids.push(id);
  }
  return { text: tokenizer.decode(ids), complete: false };
}

/** Whether a grammar lets a text through as a finished answer, token by token under its masks. */
function accepts(schema: Schema, text: string): boolean {
  const grammar = compiler.compile(schemaFormat(schema));
  for (const id of [...tokenizer.encodePlain(text), stopId]) {
    if (!findAllowed(grammar).includes(id)) return false;
    grammar.accept(id);
  }
  return true;
}

function findAllowed(grammar: Grammar, rows = tokenizer.vocabularySize): readonly number[] {
  const logits = new Float32Array(rows);
  grammar.mask(logits);
  return [...logits.keys()].filter((id) => logits[id] === 0);
}

const list: Schema = {
  $defs: {
    node: {
      type: 'object',
      properties: { value: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
      required: ['value', 'next'],
    },
  },
  $ref: '#/$defs/node',
};

const closing: readonly (readonly [string, Schema])[] = [
  ['an analysis answer', buildAnswerSchema({ type: 'string', maxLength: 60 }, 3, 30)],
  ['a bounded string', { type: 'string', minLength: 3, maxLength: 9 }],
  ['a pattern', { type: 'string', pattern: '^[A-Z]{2}-\\d{1,4}$' }],
  ['a pattern around what JSON escapes', { type: 'string', pattern: '^[^x]{5,9}$' }],
  ['a pattern with alternatives', { type: 'string', pattern: '^(?:north|south)(?<side>-(east|west))?$|^none$' }],
  ['a date', { type: 'string', format: 'date' }],
  ['a time stamp', { type: 'string', format: 'date-time' }],
  ['a uuid', { type: 'string', format: 'uuid' }],
  ['an enumeration', { enum: ['a"b', 'x\ny', 1, null, { a: [1, 2] }, '漢'] }],
  ['an enumeration of a type', { type: 'integer', enum: [1, 2, 'x'] }],
  ['a constant', { const: { a: 'q"\\' } }],
  ['several types', { type: ['string', 'null'], maxLength: 5 }],
  ['numbers from 0 to 1', { type: 'number', minimum: 0, maximum: 1 }],
  ['numbers between fractions', { type: 'number', exclusiveMinimum: -2.5, maximum: -0.125 }],
  ['very small numbers', { type: 'number', minimum: 1e-7, maximum: 2e-7 }],
  ['numbers of any size', { type: 'number' }],
  ['whole numbers of both signs', { type: 'integer', minimum: -105, exclusiveMaximum: 10 }],
  ['whole numbers above', { type: 'integer', minimum: 1234 }],
  ['whole numbers below', { type: 'integer', maximum: -77 }],
  ['a short list', { type: 'array', items: { type: 'integer' }, minItems: 2, maxItems: 3 }],
  ['a tuple', { type: 'array', prefixItems: [{ type: 'boolean' }, { type: 'integer' }], items: false, minItems: 1 }],
  ['an empty list', { type: 'array', maxItems: 0 }],
  [
    'optional members',
    { type: 'object', properties: { a: { type: 'null' }, b: { const: 1 }, c: { type: 'boolean' } } },
  ],
  ['members with odd names', { type: 'object', properties: { 'say "hi"\\': { const: 1 }, 'é\u0001': { const: 2 } } }],
  [
    'members required but not described',
    {
      type: 'object',
      properties: { a: { const: 1 } },
      required: ['a', 'b'],
      additionalProperties: { type: 'boolean' },
    },
  ],
  [
    'a map with given names',
    { type: 'object', propertyNames: { enum: ['x', 'y'] }, additionalProperties: { const: 0 }, maxProperties: 2 },
  ],
  [
    'a map with a pattern',
    { type: 'object', patternProperties: { '^k\\d$': { const: 0 } }, additionalProperties: false, maxProperties: 2 },
  ],
  ['alternatives', { oneOf: [{ type: 'integer', maximum: 3, minimum: 0 }, { type: 'boolean' }] }],
  [
    'alternatives under common members',
    {
      type: 'object',
      properties: { id: { const: 7 } },
      required: ['id'],
      anyOf: [
        { properties: { kind: { const: 'x' } }, required: ['kind'] },
        { properties: { note: { type: 'null' } }, required: ['note'] },
      ],
    },
  ],
  [
    'all of several',
    {
      allOf: [
        { $ref: '#/$defs/base' },
        { properties: { b: { type: 'integer', maximum: 20 } }, required: ['b'] },
        { properties: { b: { type: 'number', minimum: 18 } } },
      ],
      $defs: { base: { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] } },
    },
  ],
  ['a list that refers to itself', list],
  ['a nullable value', { type: 'string', maxLength: 2, nullable: true }],
];

describe('openGrammarCompiler', () => {
  it.each(closing)('makes a model that knows nothing write valid JSON: %s', (_, schema) => {
    let finished = 0;
    for (let seed = 0; seed < 4; seed++) {
      const { text, complete } = writeAtRandom(schemaFormat(schema), seed, 1000);
      if (!complete) continue;
      finished++;
      expect(validateJson(schema, JSON.parse(text)), text).toBeNull();
    }
    expect(finished).toBeGreaterThan(0);
  });

  it('lets any object through for the format json, and nothing else', () => {
    for (const text of ['{}', '{"a":[1,-2.5e3,"x\\"\\u00e9",{"b":null}],"漢":true}']) {
      expect(accepts({ type: 'object' }, text)).toBe(true);
    }
    for (const text of ['[]', '{"a":1,}', '{"a" :1}', '{"a":01}', '{"a":"\t"}', '{"a":"\\ud800"}', '{} ']) {
      expect(accepts({ type: 'object' }, text)).toBe(false);
    }
    const { text } = writeAtRandom({ type: 'json' }, 1, 30);
    expect(text.startsWith('{')).toBe(true);
  });

  it('counts characters, not escapes or bytes, and lets quotes be quoted', () => {
    const schema = { type: 'string', maxLength: 3 };
    for (const text of ['"\\"\\\\\\n"', '"漢字!"', '"👍👍👍"']) expect(accepts(schema, text)).toBe(true);
    expect(accepts(schema, '"abcd"')).toBe(false);
  });

  it('writes members in the order of the schema, whichever order was compiled before', () => {
    const [a, b] = [{ const: 1 }, { const: 2 }];
    const required = ['a', 'b'];
    expect(accepts({ type: 'object', properties: { a, b }, required }, '{"a":1,"b":2}')).toBe(true);
    expect(accepts({ type: 'object', properties: { b, a }, required }, '{"b":2,"a":1}')).toBe(true);
    expect(accepts({ type: 'object', properties: { b, a }, required }, '{"a":1,"b":2}')).toBe(false);
  });

  it('treats properties as an object that has no others', () => {
    const schema = { properties: { a: { const: 1 } } };
    expect(accepts(schema, '{"a":1}')).toBe(true);
    expect(accepts(schema, '{}')).toBe(true);
    expect(accepts(schema, '{"b":1}')).toBe(false);
    expect(accepts(schema, '7')).toBe(false);
  });

  it('never allows a control token, nor a row of the head beyond the tokenizer', () => {
    const grammar = compiler.compile(
      schemaFormat({ type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }),
    );
    for (const id of tokenizer.encodePlain('{"a":"x')) grammar.accept(id);
    const allowed = findAllowed(grammar, tokenizer.vocabularySize + 64);
    expect(allowed.length).toBeGreaterThan(3000);
    expect(Math.max(...allowed)).toBeLessThan(tokenizer.specialId('[BOS]'));
  });

  it('allows a stop token only when the answer is complete, and then says so', () => {
    const grammar = compiler.compile(schemaFormat({ const: { a: 1 } }));
    for (const id of tokenizer.encodePlain('{"a":1}')) {
      expect(grammar.isComplete()).toBe(false);
      expect(findAllowed(grammar)).not.toContain(stopId);
      grammar.accept(id);
    }
    expect(grammar.isComplete()).toBe(true);
    expect(findAllowed(grammar)).toEqual([stopId]);
  });

  it('is not complete while a number may still grow, though it may stop', () => {
    const grammar = compiler.compile(schemaFormat({ type: 'integer' }));
    for (const id of tokenizer.encodePlain('12')) grammar.accept(id);
    expect(grammar.isComplete()).toBe(false);
    expect(findAllowed(grammar)).toContain(stopId);
  });

  it('throws for a token that its mask excludes', () => {
    const grammar = compiler.compile({ type: 'json' });
    const [bracket = 0] = tokenizer.encodePlain('[');
    const mistake = expect.objectContaining({ code: 'bug.invariant' });
    expect(() => grammar.accept(bracket)).toThrowError(mistake);
    expect(() => grammar.accept(stopId)).toThrowError(mistake);
    expect(() => grammar.accept(tokenizer.specialId('<think>'))).toThrowError(mistake);
  });

  it('ends a text with the tokens that were asked for in place of those that end an answer', () => {
    const [endId, bracket = 0] = [tokenizer.specialId('<|tool_call_end|>'), ...tokenizer.encodePlain('{')];
    const grammar = compiler.compile({ type: 'json' }, [endId]);
    for (const id of tokenizer.encodePlain('{}')) grammar.accept(id);
    expect(findAllowed(grammar)).toEqual([endId]);
    grammar.accept(endId);
    expect(() => grammar.accept(bracket)).toThrowError(expect.objectContaining({ code: 'bug.invariant' }));
  });

  it('rejects a schema under which the tokenizer has no token to go on with', () => {
    const letters = { ...tokenizer, vocabularySize: 1, tokenBytes: () => Uint8Array.from(Buffer.from('{')) };
    const grammar = openGrammarCompiler(letters, []).compile({ type: 'json' });
    grammar.mask(new Float32Array(1));
    grammar.accept(0);
    const refusal = { code: 'input.schema', message: expect.stringMatching(/no token of the model/) };
    expect(() => grammar.mask(new Float32Array(1))).toThrowError(expect.objectContaining(refusal));
  });

  it('gives two answers at once a state of their own', () => {
    const [one, other] = [compiler.compile({ type: 'json' }), compiler.compile({ type: 'json' })];
    for (const id of tokenizer.encodePlain('{"a":')) one.accept(id);
    expect(findAllowed(other)).toEqual(findAllowed(compiler.compile({ type: 'json' })));
  });

  it.each<[string, Schema, RegExp]>([
    ['an unknown type', { type: 'foo' }, /not valid/],
    ['a broken pattern', { type: 'string', pattern: '(' }, /Unterminated group/],
    ['a reference to nowhere', { $ref: '#/nope' }, /can't resolve/],
    ['a reference to elsewhere', { $ref: 'http://example.com/schema' }, /can't resolve/],
    ['a reference to itself', { $ref: '#' }, /leads back to itself/],
    [
      'alternatives that are each other',
      { $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { anyOf: [{ $ref: '#/$defs/a' }] } }, $ref: '#/$defs/a' },
      /leads back/,
    ],
    ['an empty range', { type: 'integer', minimum: 5, maximum: 2 }, /accepts no value/],
    ['an empty length', { type: 'string', minLength: 5, maxLength: 2 }, /accepts no value/],
    ['a list that cannot be', { type: 'array', minItems: 4, maxItems: 2 }, /accepts no value/],
    ['a contradiction', { allOf: [{ type: 'string' }, { type: 'number' }] }, /accepts no value/],
    ['an endless value', { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] }, /finite length/],
    ['absurd nesting', nest(20_000), /nested more than 200 deep/],
    ['deep nesting', nest(80), /nested more than 60 deep/],
    ['too much text', { enum: ['x'.repeat(70_000)] }, /characters long/],
    [
      'too many states',
      { type: 'array', prefixItems: Array.from({ length: 150 }, () => ({ type: 'string', maxLength: 4000 })) },
      /more than \d+ states/,
    ],
  ])('rejects %s by name and goes on working', (_, schema, message) => {
    const refusal = { code: 'input.schema', param: 'schema', message: expect.stringMatching(message) };
    expect(() => compiler.compile(schemaFormat(schema))).toThrowError(expect.objectContaining(refusal));
    expect(accepts({ const: 1 }, '1')).toBe(true);
  });

  it('rejects alternatives that cannot be told apart at every level, instead of growing without end', () => {
    const either = { type: 'array', items: { anyOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }] } };
    const grammar = compiler.compile(schemaFormat({ $defs: { a: either, b: either }, $ref: '#/$defs/a' }));
    const [bracket = 0] = tokenizer.encodePlain('[');
    const nestOn = (): void => {
      for (let depth = 0; depth < 40; depth++) {
        findAllowed(grammar);
        grammar.accept(bracket);
      }
    };
    const refusal = { code: 'input.schema', message: expect.stringMatching(/too many ways/) };
    expect(nestOn).toThrowError(expect.objectContaining(refusal));
  });

  it.each<[string, Schema, string]>([
    ['not', { type: 'integer', not: { const: 3 } }, '3'],
    ['uniqueItems', { type: 'array', items: { type: 'integer' }, uniqueItems: true }, '[1,1]'],
    ['multipleOf', { type: 'integer', multipleOf: 5 }, '3'],
    ['a pattern that looks ahead', { type: 'string', pattern: '^(?=a)' }, '"b"'],
    ['a pattern that repeats without end', { type: 'string', pattern: '^((a{1,300}b){1,300})$' }, '"b"'],
  ])('leaves %s to the check of the finished value', (_, schema, text) => {
    expect(accepts(schema, text)).toBe(true);
    expect(validateJson(schema, JSON.parse(text))).not.toBeNull();
  });
});

function nest(depth: number): Schema {
  let schema: Schema = { type: 'null' };
  for (let level = 0; level < depth; level++) schema = { type: 'array', items: schema };
  return schema;
}
