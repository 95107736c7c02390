import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { openGrammarCompiler } from '../../../../src/engine/grammar/open-grammar-compiler.ts';
import type { AnswerFormat } from '../../../../src/engine/messages.ts';
import type { GrammarCompiler, Tokenizer } from '../../../../src/engine/ports.ts';
import { SeededRandom } from '../../../../src/engine/sample/random.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { buildAnswerSchema } from '../../../../src/pipeline/answer.schema.ts';

const modelDir = fileURLToPath(new URL('../../../../model/quire-nano', import.meta.url));
const vocabulary = 4096;

let tokenizer: Tokenizer;
let stopId: number;
let compiler: GrammarCompiler;

beforeAll(async () => {
  tokenizer = await openTokenizer(modelDir, vocabulary);
  stopId = tokenizer.specialId('<|im_end|>');
  compiler = await openGrammarCompiler(tokenizer, vocabulary, [stopId]);
});

/** What a model without any sense writes: random logits under the mask. */
async function writeRandomly(
  format: Exclude<AnswerFormat, { type: 'text' }>,
  seed: number,
  limit = 2_000,
): Promise<string> {
  const grammar = await compiler.compile(format);
  const random = new SeededRandom(seed);
  const ids: number[] = [];
  while (!(await grammar.isComplete()) && ids.length < limit) {
    const logits = Float32Array.from({ length: vocabulary }, () => random.next());
    await grammar.mask(logits);
    const id = logits.indexOf(Math.max(...logits));
    if (id === stopId) break;
    grammar.accept(id);
    ids.push(id);
  }
  grammar.close();
  const text = tokenizer.decode(ids);
  expect(text).not.toContain('\uFFFD');
  return text;
}

const closed = { additionalProperties: false };

describe('openGrammarCompiler', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'lets nothing but an answer of the analysis form be written (seed %i)',
    async (seed) => {
      const schema = buildAnswerSchema({ type: 'string', maxLength: 40 }, 2, 14);
      const answer = JSON.parse(await writeRandomly({ type: 'json-schema', schema }, seed));
      expect(Object.keys(answer)).toEqual(['answer', 'citations', 'found']);
      expect([...answer.answer].length).toBeLessThanOrEqual(40);
      for (const { document, page, quote } of answer.citations) {
        expect(document).toBeGreaterThanOrEqual(1);
        expect(document).toBeLessThanOrEqual(2);
        expect(page).toBeLessThanOrEqual(14);
        // JSON schema counts code points
        expect([...quote].length).toBeLessThanOrEqual(400);
      }
    },
  );

  it.each([
    ['an enumeration', { type: 'object', properties: { a: { enum: ['north', 'south'] } }, required: ['a'], ...closed }],
    ['several types', { type: 'object', properties: { a: { type: ['integer', 'null'] } }, required: ['a'], ...closed }],
    ['references of its own', { $ref: '#/$defs/a', $defs: { a: { type: 'object', properties: {}, ...closed } } }],
  ])('follows %s', async (_, schema) => {
    expect(JSON.parse(await writeRandomly({ type: 'json-schema', schema }, 7))).toBeTypeOf('object');
  });

  it('never allows a token without text, and a stop only at the end', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], ...closed };
    const grammar = await compiler.compile({ type: 'json-schema', schema });
    const specials = ['<think>', '</think>', '<|im_user|>', '<|im_end|>'].map((token) => tokenizer.specialId(token));
    for (const id of tokenizer.encodePlain('{"a":"x"}')) {
      const logits = new Float32Array(vocabulary);
      await grammar.mask(logits);
      expect(specials.map((special) => logits[special])).toEqual(specials.map(() => Number.NEGATIVE_INFINITY));
      expect(await grammar.isComplete()).toBe(false);
      grammar.accept(id);
    }
    expect(await grammar.isComplete()).toBe(true);
    const logits = new Float32Array(vocabulary);
    await grammar.mask(logits);
    expect(logits[stopId]).toBe(0);
    grammar.close();
  });

  it.each([
    [{ type: 'strin' }, /schema is not valid: data\/type must be equal to one of the allowed values/],
    [{ $ref: '#/$defs/missing' }, /can't resolve reference #\/\$defs\/missing/],
    [{ $ref: 'http://example.test/schema' }, /can't resolve reference http:\/\/example.test\/schema/],
    [{ type: 'object', properties: 5 }, /data\/properties must be object/],
    [{ enum: [] }, /enum must have non-empty array/],
    [{ description: 'x'.repeat(70_000) }, /schema has \d+ bytes, more than the 65536 allowed/],
  ])('rejects a schema by name, and goes on working (%#)', async (schema, message) => {
    await expect(compiler.compile({ type: 'json-schema', schema })).rejects.toMatchObject({
      code: 'input.schema',
      message: expect.stringMatching(message),
    });
    expect(JSON.parse(await writeRandomly({ type: 'json-schema', schema: { type: 'object', ...closed } }, 1))).toEqual(
      {},
    );
  });

  it('writes keys in the order of each schema, whatever was compiled before', async () => {
    const schemaOf = (names: readonly string[]) => ({
      type: 'object',
      properties: Object.fromEntries(names.map((name) => [name, { const: 1 }])),
      required: names,
      ...closed,
    });
    expect(await writeRandomly({ type: 'json-schema', schema: schemaOf(['a', 'b']) }, 1)).toBe('{"a":1,"b":1}');
    expect(await writeRandomly({ type: 'json-schema', schema: schemaOf(['b', 'a']) }, 1)).toBe('{"b":1,"a":1}');
  });

  it('does not mix up schemas of the same $id', async () => {
    for (const value of ['x', 'y']) {
      const schema = {
        $id: 'http://example.test/s',
        type: 'object',
        properties: { a: { const: value } },
        required: ['a'],
        ...closed,
      };
      expect(JSON.parse(await writeRandomly({ type: 'json-schema', schema }, 1))).toEqual({ a: value });
    }
  });

  it('keeps many grammars without mixing them up', async () => {
    for (let index = 0; index < 80; index++) {
      const schema = {
        type: 'object',
        properties: { [`k${index}`]: { const: index } },
        required: [`k${index}`],
        ...closed,
      };
      expect(JSON.parse(await writeRandomly({ type: 'json-schema', schema }, index))).toEqual({ [`k${index}`]: index });
    }
  });
});
