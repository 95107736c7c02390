import { describe, expect, it } from 'vitest';
import { hasExactInt8 } from '../../../../src/engine/runtime/cpu-features.ts';

describe('hasExactInt8', () => {
  it.each([
    ['x64 avx avx2 avx512_vnni avx512f fma', true],
    ['x64 avx avx2 avx_vnni fma', true],
    ['x64 avx avx2 avx512f avx512bw fma', false],
    ['arm64 asimd asimddp i8mm', false],
    ['x64 some CPU', false],
  ])('of %j is %s', (features, wanted) => {
    expect(hasExactInt8(features)).toBe(wanted);
  });
});
