import type { FastifyRequest } from 'fastify';
import { AppError } from '../base/errors.ts';
import { defaultTenant } from '../base/ids.ts';
import { type LineRequest, parseLineRequest } from '../batch/index.ts';
import type { BatchRecord, LineUrl } from '../batch/records.schema.ts';
import type { CompiledApiOptions } from './options.ts';
import type { ServerDeps } from './ports.ts';

/** Nobody sees these names: file and batch behind a single call are not listed. */
const customId = 'request';
const filename = 'request.jsonl';

/** A call that is stored and not at work yet. */
export interface StoredCall {
  readonly record: BatchRecord;
  readonly request: LineRequest;
}

/**
 * Stores a single call as a batch of one line, before all others in the queue. Its caller waits, so unlike a batch it is
 * refused when the queue is away: nothing would run soon, and a repeat costs nothing.
 * @throws `input.*` for a body that no line may have; `transient.*`
 */
export async function storeOneLine(
  { batches, queue, models }: ServerDeps,
  { maxLineBytes }: CompiledApiOptions,
  endpoint: LineUrl,
  { body }: FastifyRequest,
): Promise<StoredCall> {
  const ids = models.map(({ id }) => id);
  const widths = Object.fromEntries(models.map(({ id, hiddenWidth }) => [id, hiddenWidth]));
  const request = parseLineRequest(endpoint, body, ids, { streaming: true, widths });
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
  return { record, request };
}

/** Puts a stored call to work. @throws `transient.queue-unreachable`; the call is cancelled then */
export async function announceOneLine({ batches, queue }: ServerDeps, { tenant, id }: BatchRecord): Promise<void> {
  try {
    await queue.addControl({ version: 1, tenant, batchId: id });
  } catch (error) {
    // the caller hears that it failed, so it must not run unseen at the next sweep
    await batches.cancelBatch(tenant, id);
    throw error;
  }
}

/** Stores a call and puts it to work. @throws what its two parts throw */
export async function createOneLineBatch(
  deps: ServerDeps,
  options: CompiledApiOptions,
  endpoint: LineUrl,
  request: FastifyRequest,
): Promise<BatchRecord> {
  const { record } = await storeOneLine(deps, options, endpoint, request);
  await announceOneLine(deps, record);
  return record;
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
