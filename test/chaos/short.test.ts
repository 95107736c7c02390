import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../support/seeded-random.ts';
import { judgeByRatchet, loadRatchet } from './harness/ratchet.ts';
import { scenarios } from './scenarios/index.ts';

/** Those that meet most of what can go wrong in little time; `npm run chaos` runs them all. */
const short = ['worker_sigkill_mid_decode', 'put_committed_response_lost'];

describe('the ratchet', () => {
  const ratchet = loadRatchet();

  it('names every scenario, each once, and no other', () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(ratchet).toSorted()).toEqual(names.toSorted());
  });

  it('fails a run when a fixed scenario breaks, and when a broken one passes', () => {
    const some = { a: { state: 'fixed' }, b: { state: 'broken', reason: 'not built' } } as const;
    expect(judgeByRatchet(some, 'a', true)).toBeNull();
    expect(judgeByRatchet(some, 'a', false)).toMatch(/was fixed and is broken/);
    expect(judgeByRatchet(some, 'b', false)).toBeNull();
    expect(judgeByRatchet(some, 'b', true)).toMatch(/promote/);
    expect(judgeByRatchet(some, 'c', true)).toMatch(/not in ratchet/);
  });
});

describe('a batch survives', () => {
  it.each(scenarios.filter(({ name }) => short.includes(name)))('$name: $about', async ({ run }) => {
    const outcome = await run({ lines: 8, kills: 1, random: new SeededRandom(1) });
    expect(outcome.problems).toEqual([]);
    // a run in which nothing was done passes trivially
    expect(outcome.lines).toBe(8);
  });
});
