import { describe, expect, it } from 'vitest';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { checkSchedules } from '../../support/check-schedules.ts';
import { scheduleArbitrary } from '../../support/engine-schedules.ts';
import { openFakeRunner } from '../../support/fake-runner.ts';

/**
 * Random requests, schedules, memories, caches, tiers and interruptions, on a model without weights whose rows tell when
 * one is read from the wrong place. `test/model/schedules.test.ts` does the same with weights.
 */
const schedules = scheduleArbitrary({ documentCharacters: 1_100, requests: 6, blocks: [21, 48] });

describe('Engine under random schedules', () => {
  it.each([
    { rowStep: 256, quotes: false, promptStep: 64 },
    { rowStep: 256, quotes: true, promptStep: 64 },
    { rowStep: 256, quotes: true, promptStep: 64, rounds: true },
    { rowStep: 32, quotes: true, promptStep: null },
  ])(
    'answers every request as it would alone and undrafted, with %j',
    async (options) => {
      const runner = openFakeRunner({ vocabularySize: byteVocabulary, ...options });
      const accepted = await checkSchedules(runner, schedules, { numRuns: 25 });
      expect(accepted).toBeGreaterThan(100);
    },
    240_000,
  );
});
