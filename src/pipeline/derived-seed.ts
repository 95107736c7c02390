import { sha256Hex } from '../base/hash.ts';

/**
 * Seed of the `index`-th answer of a line. The first has the line's own, so that asking for more answers changes none;
 * the others 31 bits of a digest over seed and index. The same in every run.
 */
export function choiceSeed(seed: number, index: number): number {
  return index === 0 ? seed : digestSeed(`${seed}:choice:${index}`);
}

/** Seed of the attempt to mend an answer of this seed: with the same one, the same mistake would be likelier. */
export function repairSeed(seed: number): number {
  return digestSeed(`${seed}:repair`);
}

/** Seed of the check of a draft of this seed. */
export function reflectionSeed(seed: number): number {
  return digestSeed(`${seed}:reflection`);
}

const digestSeed = (text: string): number => Number.parseInt(sha256Hex(text).slice(0, 8), 16) & 0x7fff_ffff;
