import { describe, expect, it } from 'vitest';
import { type FourWords, philox, SeededRandom } from '../../../../src/engine/sample/random.ts';

describe('philox', () => {
  const all: FourWords = [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff];

  // known answers of the authors' Random123 library, philox4x32 with 10 rounds
  it.each<[FourWords, readonly [number, number], FourWords]>([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [all, [0xffffffff, 0xffffffff], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the known answer for counter %j', (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });
});

describe('SeededRandom', () => {
  const take = (random: SeededRandom, total: number): readonly number[] =>
    Array.from({ length: total }, () => random.next());

  it('repeats itself for a seed and differs for another, negative and large ones included', () => {
    expect(take(new SeededRandom(42), 5)).toEqual(take(new SeededRandom(42), 5));
    const firsts = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, -(2 ** 40)].map((seed) => new SeededRandom(seed).next());
    expect(new Set(firsts).size).toBe(6);
  });

  it('goes on from its saved state as if it had never stopped', () => {
    const whole = new SeededRandom(7);
    const before = take(whole, 3);
    const saved = whole.draws;
    expect([...before, ...take(new SeededRandom(7, saved), 4)]).toEqual(take(new SeededRandom(7), 7));
  });

  it('is spread evenly over [0, 1)', () => {
    const random = new SeededRandom(1);
    const buckets = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 20_000; draw++) {
      const value = random.next();
      expect(value >= 0 && value < 1).toBe(true);
      buckets[Math.floor(value * 10)] = (buckets[Math.floor(value * 10)] ?? 0) + 1;
    }
    // five standard deviations of a count around 2,000
    for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(1800));
  });
});
