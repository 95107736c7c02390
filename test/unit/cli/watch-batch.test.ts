import { describe, expect, it } from 'vitest';
import type { BatchObject } from '../../../src/api/schemas/batch.schema.ts';
import { AppError } from '../../../src/base/errors.ts';
import { openProgress } from '../../../src/cli/progress.ts';
import { watchBatch } from '../../../src/cli/watch-batch.ts';
import { batchId, completedBatch, fakeBatch } from './fake-batches.ts';
import { FakeClock, FakeStream } from './fake-io.ts';

const away = new AppError('transient.api-unreachable', 'no quire answers');

/** Gives the answers one after the other, the last one for ever. */
function scripted(answers: readonly (BatchObject | Error)[]) {
  let turn = 0;
  const getBatch = async (): Promise<BatchObject> => {
    const answer = answers[Math.min(turn, answers.length - 1)];
    turn += 1;
    if (answer === undefined || answer instanceof Error) throw answer;
    return answer;
  };
  const [stream, clock] = [new FakeStream(), new FakeClock()];
  const changes: string[] = [];
  const deps = {
    api: { getBatch },
    progress: openProgress(stream, clock),
    clock,
    signal: new AbortController().signal,
    onChange: ({ status }: BatchObject) => changes.push(status),
  };
  return { deps, stream, clock, changes, turns: () => turn };
}

const running = (completed: number): BatchObject => fakeBatch({ request_counts: { total: 4, completed, failed: 0 } });

describe('watchBatch', () => {
  it('polls to the end and tells of every change once', async () => {
    const { deps, changes, turns, stream } = scripted([running(0), running(0), running(2), completedBatch()]);
    expect((await watchBatch(deps, batchId)).status).toBe('completed');
    expect(turns()).toBe(4);
    expect(changes).toEqual(['in_progress', 'in_progress', 'completed']);
    expect(stream.lines.at(-1)).toContain('completed: 4 of 4 lines');
  });

  it('bears a server that is away for a while, and says so once', async () => {
    const { deps, stream } = scripted([running(0), away, away, away, running(1), completedBatch()]);
    await watchBatch(deps, batchId);
    expect(stream.text.match(/does not answer/g)).toHaveLength(1);
    expect(stream.text.match(/answers again/g)).toHaveLength(1);
  });

  it('gives up a server that stays away', async () => {
    const { deps, clock } = scripted([running(0), away]);
    const startMs = clock.now;
    await expect(watchBatch({ ...deps, patienceMs: 10_000 }, batchId)).rejects.toBe(away);
    expect(clock.now - startMs).toBeGreaterThanOrEqual(10_000);
    expect(clock.now - startMs).toBeLessThan(12_000);
  });

  it('ends at once with what the server says of the batch', async () => {
    const unknown = new AppError('input.not-found', 'no such batch');
    const { deps, turns } = scripted([unknown]);
    await expect(watchBatch(deps, batchId)).rejects.toBe(unknown);
    expect(turns()).toBe(1);
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const { deps } = scripted([running(0)]);
    const onChange = (): void => stop.abort(new Error('stopped'));
    await expect(watchBatch({ ...deps, onChange, signal: stop.signal }, batchId)).rejects.toThrow('stopped');
  });
});
