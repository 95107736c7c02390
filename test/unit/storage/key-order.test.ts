import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../../../src/storage/key-order.contract.ts';

describe('compareKeys', () => {
  it('orders like the bytes of UTF-8', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'b', '/', 'é', '\ud7ff', '\ue000', '\uffee', '\u{10000}', '\u{10ffff}'),
      maxLength: 6,
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
  });

  it('puts what JavaScript puts first behind', () => {
    expect(['\u{1f5c2}', '\uff5e'].sort()).toEqual(['\u{1f5c2}', '\uff5e']);
    expect(['\u{1f5c2}', '\uff5e'].sort(compareKeys)).toEqual(['\uff5e', '\u{1f5c2}']);
  });
});
