import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choosePrefill, compareUrgency, type PrefillJob } from '../../../../src/engine/schedule/urgency.ts';

const job = (remainingTokens: number, more: Partial<PrefillJob> = {}): PrefillJob => ({
  priority: 1,
  deadlineMs: null,
  arrival: 0,
  remainingTokens,
  ...more,
});

describe('compareUrgency', () => {
  it('goes by priority, then deadline, then arrival', () => {
    const urgent = { priority: 0, deadlineMs: null, arrival: 9 };
    const due = { priority: 1, deadlineMs: 50, arrival: 8 };
    const dueLater = { priority: 1, deadlineMs: 90, arrival: 1 };
    const early = { priority: 1, deadlineMs: null, arrival: 2 };
    const late = { priority: 1, deadlineMs: null, arrival: 3 };
    expect([late, early, dueLater, due, urgent].toSorted(compareUrgency)).toEqual([urgent, due, dueLater, early, late]);
  });
});

describe('choosePrefill', () => {
  it('has nothing to choose from nothing', () => {
    expect(choosePrefill([], 0)).toBeUndefined();
  });

  it('prefers the shortest of the best priority, and every fourth time the oldest', () => {
    const long = job(100_000, { arrival: 1 });
    const short = job(40, { arrival: 2 });
    const idle = job(1, { arrival: 0, priority: 2 });
    const chosen = [0, 1, 2, 3, 4].map((turn) => choosePrefill([long, idle, short], turn));
    expect(chosen).toEqual([short, short, short, long, short]);
  });

  it('gives the oldest its turn whatever deadlines the others have', () => {
    const old = job(9, { arrival: 1 });
    const due = job(1, { arrival: 2, deadlineMs: 10 });
    expect([2, 3].map((turn) => choosePrefill([old, due], turn))).toEqual([due, old]);
  });

  it('serves every job of one priority in time, however many short ones keep coming', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 60, maxLength: 60 }), (arrivals) => {
        const jobs = [{ ...job(2_000), left: 2_000 }];
        let turns = 0;
        for (const [at, tokens] of arrivals.entries()) {
          jobs.push({ ...job(tokens, { arrival: at + 1 }), left: tokens });
          const chosen = choosePrefill(
            jobs.map((one) => ({ ...one, remainingTokens: one.left, one })),
            turns++,
          )?.one;
          if (chosen === undefined) continue;
          chosen.left -= 256;
          if (chosen.left <= 0) jobs.splice(jobs.indexOf(chosen), 1);
        }
        // a chunk in four rounds: 60 rounds are 15 chunks of 256
        expect(jobs.some(({ arrival }) => arrival === 0)).toBe(false);
      }),
    );
  });
});
