import { describe, expect, it } from 'vitest';
import { blocksOfPackedInt4, quantizeBlocks, stackBlocks } from '../../../../src/engine/model/block-matrix.ts';

const valuesOf = ({ codes, scales }: { codes: Uint8Array; scales: Float32Array }): number[] =>
  Array.from(codes, (code, at) => (code - 128) * (scales[Math.floor(at / 32)] ?? Number.NaN));

describe('quantizeBlocks', () => {
  it('gives each 32 columns of a row a scale of their own', () => {
    const values = Float32Array.from({ length: 2 * 64 }, (_, at) => Math.sin(at) * (at < 96 ? 1 : 100));
    const blocks = quantizeBlocks({ values, rows: 2, columns: 64 });
    expect(blocks).toMatchObject({ bits: 8, rows: 2, columns: 64 });
    const back = valuesOf(blocks);
    for (const [at, value] of values.entries()) {
      expect(Math.abs(value - (back[at] ?? Number.NaN))).toBeLessThanOrEqual((at < 96 ? 1 : 100) / 254 + 1e-6);
    }
    // the largest of a block is kept
    const largest = Math.max(...values.subarray(96).map(Math.abs));
    expect(Math.max(...back.slice(96).map(Math.abs))).toBeCloseTo(largest, 4);
  });

  it('fills a block that is not full, and one of zeros, with zeros', () => {
    const blocks = quantizeBlocks({ values: new Float32Array(40).fill(-1, 0, 32), rows: 1, columns: 40 });
    expect(blocks.codes).toHaveLength(64);
    expect(valuesOf(blocks).slice(32)).toEqual(Array(32).fill(0));
    expect([...blocks.codes.subarray(0, 32)]).toEqual(Array(32).fill(1));
  });
});

describe('blocksOfPackedInt4', () => {
  it('keeps the bytes and repeats the scales of wider groups', () => {
    const packed = Uint8Array.from({ length: 2 * 32 }, (_, at) => at);
    const scales = Float32Array.of(0.5, 2);
    const blocks = blocksOfPackedInt4(packed, scales, { rows: 2, columns: 64, groupColumns: 64 });
    expect(blocks).toEqual({ bits: 4, codes: packed, scales: Float32Array.of(0.5, 0.5, 2, 2), rows: 2, columns: 64 });
  });
});

describe('stackBlocks', () => {
  it('puts rows behind rows', () => {
    const upper = quantizeBlocks({ values: new Float32Array(32).fill(1), rows: 1, columns: 32 });
    const lower = quantizeBlocks({ values: new Float32Array(64).fill(-2), rows: 2, columns: 32 });
    const both = stackBlocks(upper, lower);
    expect(both.rows).toBe(3);
    expect(valuesOf(both).map((value) => Number(value.toFixed(5)))).toEqual([
      ...Array(32).fill(1),
      ...Array(64).fill(-2),
    ]);
  });
});
