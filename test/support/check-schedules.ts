import { rmSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Drafter } from '../../src/engine/draft/drafter.ts';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { byteVocabulary } from './byte-tokenizer.ts';
import { answerAlone, buildRequest, runSchedule, type Schedule } from './engine-schedules.ts';
import type { RandomModel } from './random-model.ts';
import { openScriptedDrafter } from './scripted-drafter.ts';
import { openTestEngine, RecordingListener } from './test-engine.ts';
import { writeTinyCheckpoint } from './tiny-checkpoint.ts';

/**
 * G2 of the engine: every request of a schedule is answered as by a plain engine that runs it alone, keeps nothing and
 * drafts nothing, and goes on from its checkpoints in a third engine as if it had never stopped. Returns how many
 * drafted tokens came true.
 */
export async function checkSchedule(runner: ModelRunner, schedule: Schedule): Promise<number> {
  const alone = new Map<string, Awaited<ReturnType<typeof answerAlone>>>();
  for (const [index, { shape }] of schedule.requests.entries()) {
    alone.set(`r${index}`, await answerAlone(runner, buildRequest(`r${index}`, shape)));
  }
  const continuations = new Map([...alone].map(([id, { tokenIds }]) => [id, tokenIds]));
  const openDrafter = (seed: number): Drafter<Sequence> | null =>
    schedule.drafts === 'lookup' ? null : openScriptedDrafter(continuations, seed, byteVocabulary);
  const { outcomes, acceptedTokens } = await runSchedule(runner, schedule, openDrafter(schedule.saveEvery));
  let accepted = acceptedTokens;
  for (const { request, output, checkpoints } of outcomes) {
    const expected = alone.get(request.id)?.output;
    if (output !== null) expect(output).toEqual(expected);
    const [checkpoint] = checkpoints.slice(-2);
    if (checkpoint === undefined) continue;
    // through JSON, as between processes
    const resume = JSON.parse(JSON.stringify(checkpoint)) as typeof checkpoint;
    const drafter = openDrafter(checkpoint.tokenIds.length);
    const { engine } = openTestEngine(runner, drafter === null ? {} : { drafter });
    expect(await engine.generate({ ...request, resume }, new RecordingListener())).toMatchObject(expected ?? {});
    accepted += engine.stats().acceptedTokens;
  }
  return accepted;
}

/** The same with a random model, which lies in `folder` as long as it takes. */
export async function checkModelSchedule(
  folder: string,
  { options, seed, threads, precision }: RandomModel,
  schedule: Schedule,
): Promise<void> {
  writeTinyCheckpoint(folder, options, seed);
  const runner = await openOrtRunner(folder, { precision, threads });
  try {
    await checkSchedule(runner, schedule);
  } finally {
    await runner.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Tries schedules, and shrinks one that fails. Returns how many drafted tokens came true in all. */
export async function checkSchedules(
  runner: ModelRunner,
  schedules: fc.Arbitrary<Schedule>,
  parameters: fc.Parameters<[Schedule]>,
): Promise<number> {
  let accepted = 0;
  const property = fc.asyncProperty(schedules, async (schedule) => {
    accepted += await checkSchedule(runner, schedule);
  });
  await fc.assert(property, parameters);
  return accepted;
}
