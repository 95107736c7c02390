import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { checkModelSchedule } from '../support/check-schedules.ts';
import { scheduleArbitrary } from '../support/engine-schedules.ts';
import { randomModel } from '../support/random-model.ts';

/**
 * Cached ≡ uncached, batched ≡ alone, chunked ≡ whole, shared ≡ separate, preempted ≡ not, restored ≡ uninterrupted:
 * by the same text of the same tokens, on random models. Greedy choices and seeded draws tell one changed bit of a logit
 * sooner or later; `batch.test.ts` and `exactness.test.ts` compare the bits themselves.
 */
let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-schedules-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const schedules = scheduleArbitrary({ documentCharacters: 800, requests: 5, blocks: [21, 48] });

describe('the engine with random models under random schedules', () => {
  it('answers every request as it would alone', async () => {
    let models = 0;
    await fc.assert(
      fc.asyncProperty(randomModel, schedules, (model, schedule) =>
        checkModelSchedule(join(root, String(models++)), model, schedule),
      ),
      { numRuns: 4 },
    );
  }, 240_000);
});
