import type { State } from './network.ts';

/** Bytes that no edge of a network tells apart are one class. */
export interface ByteClasses {
  /** Class of each of the 256 bytes. */
  readonly of: Uint8Array;
  readonly total: number;
}

export function findByteClasses(states: readonly State[]): ByteClasses {
  const isFirst = new Uint8Array(257);
  for (const { bytes } of states) {
    for (const { low, high } of bytes) {
      isFirst[low] = 1;
      isFirst[high + 1] = 1;
    }
  }
  const of = new Uint8Array(256);
  let last = 0;
  for (let byte = 1; byte < 256; byte++) {
    last += isFirst[byte] ?? 0;
    of[byte] = last;
  }
  return { of, total: last + 1 };
}
