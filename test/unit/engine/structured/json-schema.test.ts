import { describe, expect, it } from 'vitest';
import { checkSchema, validateJson } from '../../../../src/engine/structured/json-schema.ts';

describe('validateJson', () => {
  it('is silent about a value that fits', () => {
    expect(validateJson({ type: 'array', uniqueItems: true }, [1, 2])).toBeNull();
  });

  it('says where a value does not fit, and why', () => {
    const schema = { type: 'object', properties: { pages: { type: 'array', uniqueItems: true } } };
    expect(validateJson(schema, { pages: [1, 1] })).toMatch(/^\/pages must NOT have duplicate items/);
    expect(validateJson(schema, 1)).toBe('the value must be object');
  });

  it('reads drafts by what they call themselves', () => {
    const tuple = { items: [{ type: 'integer' }, { type: 'string' }] };
    expect(validateJson({ $schema: 'http://json-schema.org/draft-07/schema#', ...tuple }, [1, 2])).toMatch(
      /must be string/,
    );
    expect(() => checkSchema(tuple)).toThrowError(expect.objectContaining({ code: 'input.schema' }));
  });

  it('keeps schemas with the same id apart', () => {
    const id = 'https://example.com/same';
    expect(validateJson({ $id: id, type: 'integer' }, 1)).toBeNull();
    expect(validateJson({ $id: id, type: 'string' }, 1)).toBe('the value must be string');
  });

  it('gives up on a pattern that takes exponential time', () => {
    // by itself it would run for years; the test's own time limit is the proof that it does not
    expect(validateJson({ type: 'string', pattern: '^(a+)+$' }, `${'a'.repeat(60)}!`)).toMatch(
      /takes longer than 100 ms/,
    );
  });

  it('still follows patterns that behave', () => {
    expect(validateJson({ type: 'string', pattern: '^\\p{Lu}' }, 'Éa')).toBeNull();
    expect(validateJson({ type: 'string', pattern: '^\\p{Lu}' }, 'éa')).toMatch(/must match pattern/);
  });
});
