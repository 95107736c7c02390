import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { type ApiOptions, buildServer } from '../../src/api/index.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import { type BatchRecord, BatchStore, type OutputLine, openUnitLog } from '../../src/batch/index.ts';
import type { ModelCard } from '../../src/engine/index.ts';
import { MemoryObjectStore } from '../../src/storage/index.ts';
import { FakeBus, FakeQueue } from './fake-queue.ts';
import { RecordingLogger } from './recording-logger.ts';

export const modelCard: ModelCard = {
  id: 'quire-nano',
  architecture: 'deepseek_v3',
  contextTokens: 8_192,
  vocabularySize: 4_096,
  layers: 4,
  experts: 16,
  expertsPerToken: 2,
  hiddenWidth: 64,
  parameters: 20_000_000,
  activeParameters: 5_000_000,
  weights: 'trained',
  notice: null,
  wholeDocumentTokens: null,
  outlineLines: null,
  questionFirst: false,
  digest: 'a'.repeat(64),
};

export interface TestApi {
  readonly app: FastifyInstance;
  readonly store: MemoryObjectStore;
  readonly batches: BatchStore;
  readonly queue: FakeQueue;
  readonly bus: FakeBus;
  readonly log: RecordingLogger;
  readonly clock: Clock;
}

/** The API over a store in memory and a queue that only records. */
export function buildTestApi(options: Partial<ApiOptions> = {}, clock: Clock = systemClock): TestApi {
  const store = new MemoryObjectStore(() => clock.nowMs());
  const batches = new BatchStore({ store, clock });
  const [queue, bus, log, registry] = [new FakeQueue(), new FakeBus(), new RecordingLogger(), new Registry()];
  const app = buildServer(
    { store, batches, queue, bus, models: [modelCard], clock, log, registry },
    { apiKeys: null, syncPollMs: 20, drainMs: 2_000, ...options },
  );
  return { app, store, batches, queue, bus, log, clock };
}

/** A multipart body with parts in the given order; a part with a filename is a file. */
export function buildForm(
  parts: readonly { readonly name: string; readonly value: string; readonly filename?: string }[],
): { readonly payload: string; readonly headers: Record<string, string> } {
  const boundary = 'quire-test-boundary';
  const lines = parts.flatMap(({ name, value, filename }) => [
    `--${boundary}`,
    `content-disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}`,
    ...(filename === undefined ? [] : ['content-type: application/octet-stream']),
    '',
    value,
  ]);
  return {
    payload: [...lines, `--${boundary}--`, ''].join('\r\n'),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  };
}

export const batchLine = (customId: string, content = 'hello'): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: modelCard.id, messages: [{ role: 'user', content }] },
  });

/** Uploads a batch input; the file comes before its purpose, as the stock client sends it. */
export async function uploadBatchFile({ app }: TestApi, lines: readonly string[]): Promise<string> {
  const form = buildForm([
    { name: 'file', filename: 'input.jsonl', value: `${lines.join('\n')}\n` },
    { name: 'purpose', value: 'batch' },
  ]);
  const answer = await app.inject({ method: 'POST', url: '/v1/files', ...form });
  if (answer.statusCode !== 200) throw new Error(`upload failed: ${answer.body}`);
  return String(answer.json().id);
}

/** Stands in for a worker: writes the answer of a one-line batch to its unit log. */
export async function answerOneLine(
  { store, bus }: TestApi,
  { tenant, id }: Pick<BatchRecord, 'tenant' | 'id'>,
  statusCode: number,
  body: Readonly<Record<string, unknown>>,
): Promise<void> {
  const output: OutputLine = {
    id: 'batch_req_1',
    custom_id: 'request',
    response: { status_code: statusCode, request_id: 'req_1', body },
    error: null,
  };
  const log = openUnitLog(store, tenant, id, 'u000000');
  await log.claim('test-worker');
  await log.append([{ index: 0, outcome: statusCode < 400 ? 'completed' : 'failed', output }]);
  await bus.publish({ type: 'unit-segment', batchId: id, unitId: 'u000000' });
}
