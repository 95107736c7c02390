import fc from 'fast-check';
import { expect } from 'vitest';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { answerAlone, runSchedule, type Schedule } from './engine-schedules.ts';
import { openTestEngine, RecordingListener } from './test-engine.ts';

/**
 * G2 of the engine: every request of a schedule is answered as by a plain engine that runs it alone and keeps nothing,
 * and goes on from its checkpoints in a third engine as if it had never stopped.
 */
export async function checkSchedule(runner: ModelRunner, schedule: Schedule): Promise<void> {
  for (const { request, output, checkpoints } of await runSchedule(runner, schedule)) {
    const alone = await answerAlone(runner, request);
    if (output !== null) expect(output).toEqual(alone);
    const [checkpoint] = checkpoints.slice(-2);
    if (checkpoint === undefined) continue;
    // through JSON, as between processes
    const resume = JSON.parse(JSON.stringify(checkpoint)) as typeof checkpoint;
    const { engine } = openTestEngine(runner);
    expect(await engine.generate({ ...request, resume }, new RecordingListener())).toMatchObject(alone);
  }
}

/** Tries schedules, and shrinks one that fails. */
export async function checkSchedules(
  runner: ModelRunner,
  schedules: fc.Arbitrary<Schedule>,
  parameters: fc.Parameters<[Schedule]>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(schedules, (schedule) => checkSchedule(runner, schedule)),
    parameters,
  );
}
