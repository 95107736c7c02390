import { beforeEach, describe, expect, it } from 'vitest';
import type { BatchRecord } from '../../../src/batch/records.schema.ts';
import { readTokenBudget } from '../../../src/batch/token-budget.ts';
import { groupedLine, resultOf, tenant, World } from './batch-world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

/** Of `resultOf`. */
const lineTokens = 14;

const look = async (batchId: string): Promise<BatchRecord> => {
  world.clock.advance(2_000);
  await world.janitor.handle(tenant, batchId);
  return world.get(batchId);
};
const jobs = (): string[] => world.queue.units.map(({ job, epoch }) => `${job.unitId}.${epoch}`).sort();
/** Workers take every job; what they do with it is the test's. */
const takeJobs = (): void => void world.queue.units.splice(0);
const pauses = (): number => world.bus.events.filter(({ type }) => type === 'batch-pause').length;

/** Three units of a line each, all of them in the hands of workers. */
async function startThree(tokenBudget: number | null): Promise<string> {
  const lines = ['a', 'b', 'c'].map((name) => groupedLine(name, name));
  const { id } = await world.createBatch(lines, { tokenBudget });
  await world.janitor.handle(tenant, id);
  expect(jobs()).toEqual(['u000000.0', 'u000001.0', 'u000002.0']);
  takeJobs();
  return id;
}

describe('a token budget', () => {
  it.each([
    [{}, null],
    [{ tokenBudget: 500 }, 500],
    [{ metadata: { token_budget: '500' } }, 500],
    [{ tokenBudget: 500, metadata: { token_budget: '500' } }, 500],
  ])('is read from %j as %j', (more, tokens) => {
    expect(readTokenBudget({ metadata: null, ...more })).toBe(tokens);
  });

  it.each([
    [{ tokenBudget: 0 }, 'token_budget', 'token_budget is 0; it must be a whole number of tokens from 1'],
    [{ tokenBudget: 1.5 }, 'token_budget', 'token_budget is 1.5'],
    [{ metadata: { token_budget: 'lots' } }, 'metadata.token_budget', 'metadata.token_budget is "lots"'],
    [{ metadata: { token_budget: '-3' } }, 'metadata.token_budget', 'metadata.token_budget is "-3"'],
    [{ tokenBudget: 5, metadata: { token_budget: '6' } }, 'token_budget', 'is 5 and metadata.token_budget is 6'],
  ])('is refused where it is none: %j', (more, param, message) => {
    expect(() => readTokenBudget({ metadata: null, ...more })).toThrow(message);
    expect(() => readTokenBudget({ metadata: null, ...more })).toThrow(expect.objectContaining({ param }));
  });

  it('makes another create of the same input another batch', async () => {
    const more = { idempotencyKey: 'k', tokenBudget: 5 };
    const first = await world.createBatch([groupedLine('a', 'a')], more);
    const { input_file_id: inputFileId } = first;
    expect((await world.createBatch([], { ...more, inputFileId })).id).toBe(first.id);
    await expect(world.createBatch([], { ...more, inputFileId, tokenBudget: 6 })).rejects.toMatchObject({
      code: 'input.invalid-request',
    });
  });
});

describe('a batch whose budget is used up', () => {
  it('pauses with lines left, keeps what is finished, and puts nothing into the queue', async () => {
    const id = await startThree(lineTokens);
    await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
    const batch = await look(id);
    expect(batch).toMatchObject({
      status: 'in_progress',
      paused_at: Math.floor(world.clock.nowMs() / 1_000),
      request_counts: { total: 3, completed: 1, failed: 0 },
      usage: { total_tokens: lineTokens },
    });
    expect(jobs()).toEqual([]);
    // news may be lost
    expect(pauses()).toBe(1);
    expect(await look(id)).toEqual(batch);
    expect(pauses()).toBe(2);
  });

  it('counts lines that end while it pauses', async () => {
    const id = await startThree(lineTokens);
    await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
    await look(id);
    await world.runPart(id, 'u000001', [resultOf(1, 'b')]);
    expect(await look(id)).toMatchObject({
      paused_at: expect.any(Number),
      request_counts: { completed: 2 },
      usage: { total_tokens: 2 * lineTokens },
    });
  });

  it.each([
    ['a larger one', 2 * lineTokens + 1],
    ['none', null],
  ] as const)('goes on with %s, and every line counts once', async (_what, tokens) => {
    const id = await startThree(lineTokens);
    await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
    await world.runPart(id, 'u000001', []);
    await look(id);
    const raised = await world.batches.setTokenBudget(tenant, id, tokens);
    expect(raised.paused_at).toBeUndefined();
    expect(raised.token_budget).toBe(tokens ?? undefined);
    await look(id);
    expect(jobs()).toEqual(['u000001.1', 'u000002.0']);
    await world.runUnit(id, 'u000001', [resultOf(1, 'b')]);
    await world.runUnit(id, 'u000002', [resultOf(2, 'c')]);
    const done = await look(id);
    expect(done).toMatchObject({
      status: 'completed',
      request_counts: { total: 3, completed: 3, failed: 0 },
      usage: { total_tokens: 3 * lineTokens },
    });
    expect(done.paused_at).toBeUndefined();
    const { output } = await world.readResults(id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['a', 'b', 'c']);
  });

  it('stays paused with a budget that is used up as well', async () => {
    const id = await startThree(lineTokens);
    await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
    await look(id);
    expect(await world.batches.setTokenBudget(tenant, id, lineTokens - 1)).toMatchObject({
      token_budget: lineTokens - 1,
      paused_at: expect.any(Number),
    });
    await look(id);
    expect(jobs()).toEqual([]);
  });

  it('does not pause when its last line used it up, although units are open still', async () => {
    const id = await startThree(3 * lineTokens);
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      await world.runPart(id, `u00000${index}`, [resultOf(index, name)]);
    }
    expect((await look(id)).paused_at).toBeUndefined();
    expect(jobs()).toEqual(['u000000.1', 'u000001.1', 'u000002.1']);
  });

  it('can be cancelled, and its time goes on', async () => {
    const [cancelled, expired] = [await startThree(1), await startThree(1)];
    for (const id of [cancelled, expired]) {
      await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
      expect((await look(id)).paused_at).toBeDefined();
    }
    await world.batches.cancelBatch(tenant, cancelled);
    expect(await look(cancelled)).toMatchObject({ status: 'cancelled', request_counts: { completed: 1, failed: 2 } });
    world.clock.advance(25 * 3_600_000);
    expect(await look(expired)).toMatchObject({ status: 'expired', request_counts: { completed: 1, failed: 2 } });
    await expect(world.batches.setTokenBudget(tenant, expired, 100)).rejects.toMatchObject({ code: 'input.state' });
  });
});
