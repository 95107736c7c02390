import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteVocabulary } from '../support/byte-tokenizer.ts';
import { checkModelSchedule, checkSchedule } from '../support/check-schedules.ts';
import { scheduleArbitrary } from '../support/engine-schedules.ts';
import { openFakeRunner } from '../support/fake-runner.ts';
import { randomModel } from '../support/random-model.ts';
import { shareMs } from './minutes.ts';

/** The equalities of `test/model/schedules.test.ts`, tried with new random seeds for as long as there is time. */
let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-long-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const schedules = scheduleArbitrary({ documentCharacters: 2_600, requests: 8, blocks: [42, 80] });

describe('the engine under random schedules', () => {
  it(
    'answers every request of random models as it would alone',
    async () => {
      const endMs = Date.now() + shareMs(0.6);
      let tried = 0;
      const property = fc.asyncProperty(randomModel, schedules, async (model, schedule) => {
        await checkModelSchedule(join(root, String(tried++)), model, schedule);
      });
      while (Date.now() < endMs) await fc.assert(property, { numRuns: 5 });
      console.log(`${tried} random models and schedules`);
      expect(tried).toBeGreaterThan(0);
    },
    shareMs(0.6) + 600_000,
  );

  it(
    'reads no row from the wrong place',
    async () => {
      const endMs = Date.now() + shareMs(0.2);
      let tried = 0;
      const runners = (
        [
          [256, 64, false],
          [256, 64, true],
          [32, null, false],
        ] as const
      ).map(([rowStep, promptStep, rounds]) =>
        openFakeRunner({ vocabularySize: byteVocabulary, rowStep, promptStep, rounds }),
      );
      const property = fc.asyncProperty(fc.constantFrom(...runners), schedules, async (runner, schedule) => {
        tried++;
        await checkSchedule(runner, schedule);
      });
      while (Date.now() < endMs) await fc.assert(property, { numRuns: 10 });
      console.log(`${tried} random schedules without weights`);
      expect(tried).toBeGreaterThan(0);
    },
    shareMs(0.2) + 600_000,
  );
});
