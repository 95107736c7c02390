import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollToEnd, RunningStack, readLines, sampleDocuments, submitQuestions } from '../support/stack-client.ts';

/** The whole product as a user runs it: `quire up`, the stock client, kill -9 in the middle. */
let stack: RunningStack;

beforeAll(async () => {
  stack = await RunningStack.start();
});

afterAll(async () => {
  await stack.remove();
});

const customIds = (lines: Record<string, unknown>[]): string[] => lines.map((line) => String(line['custom_id'])).sort();

function processesWith(marker: string): string[] {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(marker) && !line.includes('ps -eo'));
}

describe('the spine', () => {
  it('answers questions about documents in one batch, later lines from the cached prefix', async () => {
    const { client } = stack;
    const created = await submitQuestions(client, sampleDocuments(2), 3);
    const statuses: string[] = [];
    const batch = await pollToEnd(client, created.id, ({ status }) => statuses.push(status));
    expect(batch.status).toBe('completed');
    expect(batch.request_counts).toEqual({ total: 6, completed: 6, failed: 0 });
    const lines = await readLines(client, batch.output_file_id);
    expect(customIds(lines)).toEqual([
      'contract-0.md/0',
      'contract-0.md/1',
      'contract-0.md/2',
      'contract-1.md/0',
      'contract-1.md/1',
      'contract-1.md/2',
    ]);
    const cached = lines.map((line) => {
      const body = (line['response'] as { body: { usage: { prompt_tokens_details: { cached_tokens: number } } } }).body;
      return body.usage.prompt_tokens_details.cached_tokens;
    });
    // four lines come after the first of their document
    expect(cached.filter((tokens) => tokens >= 256).length).toBe(4);
  });

  it('answers one chat completion while the caller waits', async () => {
    const completion = await stack.client.chat.completions.create({
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'Hello' }],
      max_completion_tokens: 8,
      seed: 3,
    });
    expect(completion.object).toBe('chat.completion');
    expect(completion.usage?.completion_tokens).toBeLessThanOrEqual(8);
    expect(completion.usage?.completion_tokens).toBeGreaterThan(0);
  });

  it('gives the same answer to the same seeded line', async () => {
    const ask = () =>
      stack.client.chat.completions.create({
        model: 'quire-nano',
        messages: [{ role: 'user', content: 'Hello' }],
        max_completion_tokens: 24,
        seed: 11,
        temperature: 1,
      });
    const [first, second] = [await ask(), await ask()];
    expect(second.choices[0]?.message).toEqual(first.choices[0]?.message);
  });

  it.each(['analysis', 'engine', 'janitor', 'redis', 'api'])(
    'completes the batch, every line once, after kill -9 of the %s in the middle',
    async (name) => {
      const { client } = stack;
      const created = await submitQuestions(client, sampleDocuments(3), 10);
      let killed = false;
      const batch = await pollToEnd(client, created.id, ({ status, request_counts: counts }) => {
        if (killed || status !== 'in_progress' || (counts?.completed ?? 0) < 1) return;
        killed = true;
        const pid = stack.pids()[name];
        if (pid === undefined) throw new Error(`no process ${name} among ${JSON.stringify(stack.pids())}`);
        process.kill(pid, 'SIGKILL');
      });
      expect(killed).toBe(true);
      expect(batch.status).toBe('completed');
      expect(batch.request_counts).toEqual({ total: 30, completed: 30, failed: 0 });
      const ids = customIds(await readLines(client, batch.output_file_id));
      expect(new Set(ids).size).toBe(30);
      expect(ids.length).toBe(30);
    },
  );

  it('cancels a running batch and keeps what is finished', async () => {
    const { client } = stack;
    const created = await submitQuestions(client, sampleDocuments(3), 16);
    let cancelled = false;
    const batch = await pollToEnd(client, created.id, ({ status, request_counts: now }) => {
      if (cancelled || status !== 'in_progress' || (now?.completed ?? 0) < 1) return;
      cancelled = true;
      void client.batches.cancel(created.id);
    });
    expect(batch.status).toBe('cancelled');
    const counts = batch.request_counts ?? { total: 0, completed: 0, failed: 0 };
    expect(counts.completed + counts.failed).toBe(48);
    const finished = await readLines(client, batch.output_file_id);
    const rest = await readLines(client, batch.error_file_id);
    expect(finished.length).toBe(counts.completed);
    expect(rest.length).toBe(counts.failed);
    expect(new Set(customIds([...finished, ...rest])).size).toBe(48);
  });

  it('refuses a second start on the same data folder', async () => {
    await expect(RunningStack.start({ dataDir: stack.dataDir })).rejects.toThrow(/another quire/i);
  });

  it('leaves no process behind after Ctrl-C, and finds the same data at the next start', async () => {
    const { client } = stack;
    const before = await client.batches.list({ limit: 1 });
    const last = before.data[0];
    expect(await stack.stop('SIGINT')).toBe(0);
    expect(processesWith(stack.dataDir)).toEqual([]);
    stack = await RunningStack.start({ dataDir: stack.dataDir });
    const again = await stack.client.batches.retrieve(String(last?.id));
    expect(again.status).toBe(last?.status);
    expect(again.request_counts).toEqual(last?.request_counts);
  });
});
