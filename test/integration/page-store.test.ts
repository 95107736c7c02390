import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pollToEnd, RunningStack, readLines, sampleDocuments, submitQuestions } from '../support/stack-client.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

/** What one worker has read of a document, another one takes from the bucket: nothing else survives here. */
let stack: RunningStack;
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const start = (dataDir: string): Promise<RunningStack> =>
  RunningStack.start({ dataDir, env: { QUIRE_PAGE_DIR: join(folder.path, 'pages') } });

beforeAll(async () => {
  folder = await openTemporaryFolder('page-store');
  stack = await start(join(folder.path, 'data'));
});
afterAll(async () => {
  await stack.remove();
  await folder.remove();
});

interface Answer {
  readonly id: string;
  readonly answer: unknown;
  readonly reasoning: unknown;
  readonly cachedTokens: number;
}

async function askTwice(): Promise<readonly Answer[]> {
  const created = await submitQuestions(stack.client, sampleDocuments(1), 2, { seed: 5 });
  const batch = await pollToEnd(stack.client, created.id);
  expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
  const lines = await readLines(stack.client, batch.output_file_id);
  return lines
    .map((line) => {
      const { body } = line['response'] as { body: Record<string, unknown> };
      const usage = body['usage'] as { prompt_tokens_details: { cached_tokens: number } };
      return {
        id: String(line['custom_id']),
        answer: [body['answer'], (body['ext'] as { raw: unknown }).raw],
        reasoning: body['reasoning_content'],
        cachedTokens: usage.prompt_tokens_details.cached_tokens,
      };
    })
    .toSorted((left, right) => (left.id < right.id ? -1 : 1));
}

/** A worker reports every two seconds. */
async function remotePages(kind: 'hits' | 'writes'): Promise<number> {
  const text = await (await fetch(`${stack.apiUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('quire_engine_tier_operations_total{'));
  const found = lines.find((line) => line.includes('tier="remote"') && line.includes(`kind="${kind}"`));
  return Number(found?.split(' ').at(-1) ?? 0);
}

it('restores the pages of a document that another worker has read', async () => {
  const first = await askTwice();
  // one of the two found the document unread, and it was
  expect(first.map(({ cachedTokens }) => cachedTokens > 0).toSorted()).toEqual([false, true]);
  const most = Math.max(...first.map(({ cachedTokens }) => cachedTokens));
  const pages = most / 256;
  expect(pages).toBeGreaterThanOrEqual(2);
  await expect.poll(() => remotePages('writes'), { timeout: 30_000 }).toBe(pages);
  const { dataDir } = stack;
  expect(await stack.stop()).toBe(0);
  await rm(join(folder.path, 'pages'), { recursive: true });

  stack = await start(dataDir);
  const second = await askTwice();
  const essence = (answers: readonly Answer[]) => answers.map(({ cachedTokens: _, ...rest }) => rest);
  expect(essence(second)).toEqual(essence(first));
  expect(second.map(({ cachedTokens }) => cachedTokens)).toEqual([most, most]);
  await expect.poll(() => remotePages('hits'), { timeout: 30_000 }).toBe(pages);
});
