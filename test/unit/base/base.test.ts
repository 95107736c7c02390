import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../src/base/canonical-json.ts';
import { AppError, deserializeError, isFamily, serializeError, toAppError } from '../../../src/base/errors.ts';
import { newBatchId, newFileId, parseBatchId, parseFileId, unitIdOf } from '../../../src/base/ids.ts';

describe('canonicalJson', () => {
  it('gives equal text for equal values, whatever the order of keys', () => {
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: 'ä' })).toBe(canonicalJson({ a: 'ä', b: [{ c: 2, d: 1 }] }));
    expect(canonicalJson({ b: 1, a: null })).toBe('{"a":null,"b":1}');
  });

  it('sorts by code point, not by UTF-16 unit', () => {
    expect(canonicalJson({ '\u{1F600}': 1, '\uFF5E': 2 })).toBe('{"～":2,"😀":1}');
  });

  it('keeps a key called __proto__ a plain key', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"x":1}}'))).toBe('{"__proto__":{"x":1}}');
  });
});

describe('AppError', () => {
  it('crosses a process border and stays the same error', () => {
    const error = new AppError('input.invalid-request', 'bad', { param: 'seed', details: { met: 7 } });
    const back = deserializeError(JSON.parse(JSON.stringify(serializeError(error))));
    expect(back).toMatchObject({
      code: error.code,
      message: 'bad',
      param: 'seed',
      details: { met: 7 },
      family: 'input',
    });
    expect(isFamily(back, 'input')).toBe(true);
  });

  it('keeps the cause of what is not ours', () => {
    const cause = new TypeError('x is undefined');
    expect(toAppError(cause)).toMatchObject({ code: 'bug.invariant', cause });
  });
});

describe('ids', () => {
  it('parse back', () => {
    const [file, batch] = [newFileId(), newBatchId()];
    expect(parseFileId(file)).toBe(file);
    expect(parseBatchId(batch)).toBe(batch);
  });

  it.each(['', 'batch_', '../../etc', 'batch_ABC', `batch_${'0'.repeat(25)}`])(
    'reject %j, so that no key leaves its folder',
    (id) => {
      expect(() => parseBatchId(id)).toThrow(expect.objectContaining({ code: 'input.not-found' }));
    },
  );

  it('number units so that key order is plan order', () => {
    expect([unitIdOf(2), unitIdOf(10)].sort()).toEqual([unitIdOf(2), unitIdOf(10)]);
  });
});
