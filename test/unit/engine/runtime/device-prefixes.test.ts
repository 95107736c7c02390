import type { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { DevicePrefixes } from '../../../../src/engine/runtime/device-prefixes.ts';

const none = {} as Tensor;

/** A device whose tensors are numbered, and which keeps the numbers of those that are disposed. */
function setUp(mostBytes: number) {
  const disposed: number[] = [];
  let uploads = 0;
  const upload = async (): Promise<Tensor> => {
    const number = ++uploads;
    return { dispose: () => disposed.push(number) } as unknown as Tensor;
  };
  return { prefixes: new DevicePrefixes({ upload }, mostBytes), disposed, uploads: () => uploads };
}

describe('DevicePrefixes', () => {
  it('uploads an array once', async () => {
    const { prefixes, uploads } = setUp(100);
    const values = new Float32Array(4);
    await prefixes.keep(values, none);
    const tensor = prefixes.find(values);
    await prefixes.keep(values, none);
    expect(tensor).toBeDefined();
    expect(prefixes.find(values)).toBe(tensor);
    expect(prefixes.find(new Float32Array(4))).toBeUndefined();
    expect(uploads()).toBe(1);
  });

  it('disposes those read longest ago, and in the end all', async () => {
    const { prefixes, disposed, uploads } = setUp(32);
    const [one, two, three] = [new Float32Array(4), new Float32Array(4), new Float32Array(4)];
    for (const values of [one, two, one, three]) await prefixes.keep(values, none);
    expect(disposed).toEqual([2]);
    expect([one, two, three].map((values) => prefixes.find(values) !== undefined)).toEqual([true, false, true]);
    await prefixes.keep(two, none);
    expect([disposed, uploads()]).toEqual([[2, 1], 4]);
    prefixes.close();
    expect(disposed.toSorted()).toEqual([1, 2, 3, 4]);
  });

  it('keeps nothing that alone is too large', async () => {
    const { prefixes, disposed } = setUp(15);
    const values = new Float32Array(4);
    await prefixes.keep(values, none);
    expect(prefixes.find(values)).toBeUndefined();
    expect(disposed).toEqual([1]);
  });
});
