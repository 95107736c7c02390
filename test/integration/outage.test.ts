import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunningStack, readLines, sampleDocuments, submitQuestions } from '../support/stack-client.ts';

/** Servers and processes that hang, vanish or come back as zombies while a batch runs; nothing may be lost or doubled. */
let stack: RunningStack;

beforeAll(async () => {
  // without drafts from the answers before: the same questions would be answered before anything went wrong
  stack = await RunningStack.start({ env: { QUIRE_DRAFT_TOKENS: '0' } });
});

afterAll(async () => {
  await stack?.remove();
});

function pidOf(name: string): number {
  const pid = stack.pids()[name];
  if (pid === undefined) throw new Error(`no process ${name} among ${JSON.stringify(stack.pids())}`);
  return pid;
}

/** SIGSTOP for a while: the process is there and answers nothing. */
async function pause(name: string, forMs: number): Promise<void> {
  const pid = pidOf(name);
  process.kill(pid, 'SIGSTOP');
  try {
    await wait(forMs);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

/** Kills the process and waits for the next of its name. */
async function killAndAwaitNext(name: string): Promise<void> {
  const [pid, from] = [pidOf(name), stack.events.length];
  process.kill(pid, 'SIGKILL');
  await stack.waitFor((event) => {
    const next = (event['pids'] as Record<string, number> | undefined)?.[name];
    return next !== undefined && next !== pid;
  }, from);
}

const terminal = ['completed', 'failed', 'expired', 'cancelled'];

interface Outcome {
  readonly batch: OpenAI.Batch;
  readonly statuses: readonly string[];
  /** Finished lines as polled: they never become fewer. */
  readonly counts: readonly number[];
}

/** Runs a batch, does `harm` when the first lines are finished, and polls through it all until the end. */
async function runThrough(lines: { documents: number; each: number }, harm: () => Promise<void>): Promise<Outcome> {
  const { client } = stack;
  const created = await submitQuestions(client, sampleDocuments(lines.documents), lines.each);
  const statuses: string[] = [];
  const counts: number[] = [];
  let harmed: Promise<void> | undefined;
  for (;;) {
    // while a server is away the api says so with 503: the next poll is the answer to that
    const batch = await client.batches.retrieve(created.id, { maxRetries: 0 }).catch((error: { status?: number }) => {
      if (error.status !== 503) throw error;
      return undefined;
    });
    if (batch !== undefined) {
      if (statuses.at(-1) !== batch.status) statuses.push(batch.status);
      counts.push(batch.request_counts?.completed ?? 0);
      if (terminal.includes(batch.status)) {
        if (harmed === undefined) throw new Error('the batch ended before anything went wrong');
        await harmed;
        return { batch, statuses, counts };
      }
      if (batch.status === 'in_progress' && (batch.request_counts?.completed ?? 0) >= 1) harmed ??= harm();
    }
    await wait(100);
  }
}

async function expectWhole({ batch, statuses, counts }: Outcome, total: number): Promise<void> {
  expect({ status: batch.status, counts: batch.request_counts }).toEqual({
    status: 'completed',
    counts: { total, completed: total, failed: 0 },
  });
  const ids = (await readLines(stack.client, batch.output_file_id)).map((line) => line['custom_id']);
  expect(ids.length).toBe(total);
  expect(new Set(ids).size).toBe(total);
  const order = ['validating', 'in_progress', 'finalizing', 'completed'];
  expect(statuses).toEqual(order.filter((status) => statuses.includes(status)));
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
}

describe('a batch completes, every line once, although', () => {
  it('Redis hangs beyond the lock time', async () => {
    await expectWhole(await runThrough({ documents: 3, each: 9 }, () => pause('redis', 7_000)), 27);
  });

  it('Redis ends and forgets everything', async () => {
    const outcome = await runThrough({ documents: 3, each: 9 }, async () => {
      const from = stack.events.length;
      process.kill(pidOf('redis'), 'SIGKILL');
      await rm(join(stack.dataDir, 'redis', 'appendonlydir'), { recursive: true });
      await stack.waitFor(({ type, name }) => type === 'child-ready' && name === 'redis-launcher', from);
    });
    await expectWhole(outcome, 27);
  });

  it('the store is killed twice', async () => {
    const outcome = await runThrough({ documents: 3, each: 9 }, async () => {
      await killAndAwaitNext('s3');
      await wait(500);
      await killAndAwaitNext('s3');
    });
    await expectWhole(outcome, 27);
  });

  it('the engine is killed again and again', async () => {
    const outcome = await runThrough({ documents: 3, each: 9 }, async () => {
      for (let kill = 0; kill < 4; kill++) {
        await killAndAwaitNext('engine');
        // into the loading of the model, and into its work
        await wait(kill % 2 === 0 ? 300 : 1_500);
      }
    });
    await expectWhole(outcome, 27);
  });

  it('the worker sleeps beyond its lock and wakes up as a zombie', async () => {
    await expectWhole(await runThrough({ documents: 3, each: 9 }, () => pause('analysis', 8_000)), 27);
  });

  it('janitor and engine hang at the same time', async () => {
    const harm = async (): Promise<void> => {
      await Promise.all([pause('janitor', 5_000), pause('engine', 6_000)]);
    };
    await expectWhole(await runThrough({ documents: 2, each: 10 }, harm), 20);
  });
});

describe('while a server is away', () => {
  it('readiness and calls say so with 503, and everything works again afterwards', async () => {
    const before = await fetch(`${stack.apiUrl}/readyz`);
    expect(before.status).toBe(200);
    const from = stack.events.length;
    const pid = pidOf('s3');
    process.kill(pid, 'SIGSTOP');
    const refused = await fetch(`${stack.apiUrl}/readyz`, { signal: AbortSignal.timeout(20_000) });
    expect(refused.status).toBe(503);
    expect((await fetch(`${stack.apiUrl}/healthz`)).status).toBe(200);
    process.kill(pid, 'SIGKILL');
    await stack.waitFor(({ type, name }) => type === 'child-ready' && name === 's3', from);
    const after = await fetch(`${stack.apiUrl}/readyz`);
    expect(after.status).toBe(200);
  });
});
