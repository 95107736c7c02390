import type { FastifyRequest } from 'fastify';
import { AppError } from '../base/errors.ts';
import { defaultTenant } from '../base/ids.ts';
import { parseLineRequest } from '../batch/index.ts';
import type { BatchRecord, LineUrl } from '../batch/records.schema.ts';
import type { CompiledApiOptions } from './options.ts';
import type { ServerDeps } from './ports.ts';

/** Nobody sees these names: file and batch behind a single call are not listed. */
const customId = 'request';
const filename = 'request.jsonl';

/**
 * Stores a single call as a batch of one line, before all others in the queue. Its caller waits, so unlike a batch it is
 * refused when the queue is away: nothing would run soon, and a repeat costs nothing.
 * @throws `input.*` for a body that no line may have; `transient.*`
 */
export async function createOneLineBatch(
  deps: ServerDeps,
  { maxLineBytes }: CompiledApiOptions,
  endpoint: LineUrl,
  { body }: FastifyRequest,
): Promise<BatchRecord> {
  const { batches, queue, models } = deps;
  parseLineRequest(
    endpoint,
    body,
    models.map(({ id }) => id),
  );
  const line = Buffer.from(JSON.stringify({ custom_id: customId, method: 'POST', url: endpoint, body }));
  if (line.length > maxLineBytes)
    throw new AppError('input.too-large', `request of ${line.length} bytes; at most ${maxLineBytes} are allowed`);
  await queue.ping();
  const description = { filename, purpose: 'batch', listed: false };
  const file = await batches.saveFile(defaultTenant, oneChunk(line), description);
  const record = await batches.createBatch({
    tenant: defaultTenant,
    inputFileId: file.id,
    endpoint,
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterSeconds: null,
    priority: 'interactive',
  });
  try {
    await queue.addControl({ version: 1, tenant: record.tenant, batchId: record.id });
  } catch (error) {
    // the caller hears that it failed, so it must not run unseen at the next sweep
    await batches.cancelBatch(record.tenant, record.id);
    throw error;
  }
  return record;
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
