import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { BatchRecord, BatchUsage } from '../batch/index.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { type ManifestLine, parseBatchManifest } from './batch-manifest.ts';
import type { Drop } from './drop.ts';
import { type FencedOutputs, maxFencedBytes } from './fenced-outputs.ts';
import type { OutputKeys } from './inbox-key.ts';
import { splitAtLineEnds } from './split-at-line-ends.ts';

/** What `outbox/…/manifest.json` says. It is written last: where it names a batch, that batch's results are complete. */
export interface OutboxManifest {
  readonly version: 1;
  readonly key: string;
  readonly etag: string;
  readonly batch_id: string;
  readonly status: BatchRecord['status'];
  /** In input order, as in results.jsonl; `line` is 1-based; bytes and sha256 without the line end. */
  readonly lines: readonly {
    readonly line: number;
    readonly custom_id: string;
    readonly outcome: ManifestLine['outcome'];
    readonly sha256: string;
    readonly bytes: number;
    readonly usage: BatchUsage | null;
  }[];
  readonly totals: {
    readonly lines: number;
    readonly completed: number;
    readonly failed: number;
    readonly usage: BatchUsage | null;
  };
  /** Why the batch was refused as a whole; empty otherwise. */
  readonly errors: BatchRecord['errors'];
}

/** Writes results and manifest of a batch that is final. @throws `ownership.lost`, `corrupt.*`, `transient.*` */
export async function publishFinal(
  store: ObjectStore,
  outputs: FencedOutputs,
  drop: Drop,
  outputKeys: OutputKeys,
  batch: BatchRecord,
): Promise<void> {
  const lines = await loadLines(store, batch);
  const { total, completed, failed } = batch.request_counts;
  // a batch that was refused before it was planned has no lines to show
  if (lines !== null) await publishResults(store, outputs, outputKeys.results, batch, lines);
  const manifest: OutboxManifest = {
    version: 1,
    key: drop.key,
    etag: drop.etag,
    batch_id: batch.id,
    status: batch.status,
    lines: (lines ?? []).map(({ custom_id, outcome, sha256, bytes, usage }, index) => ({
      line: index + 1,
      custom_id,
      outcome,
      sha256,
      bytes,
      usage,
    })),
    totals: { lines: total, completed, failed, usage: batch.usage },
    errors: batch.errors,
  };
  await outputs.write(outputKeys.manifest, Buffer.from(JSON.stringify(manifest)), 'application/json');
}

async function loadLines(store: ObjectStore, batch: BatchRecord): Promise<readonly ManifestLine[] | null> {
  const key = keys.manifest(batch.tenant, batch.id);
  const object = await store.get(key);
  if (object === undefined) {
    if (batch.output_file_id === null && batch.error_file_id === null) return null;
    throw new AppError('corrupt.record', `batch ${batch.id} has results but no manifest`, { details: { key } });
  }
  const lines = parseBatchManifest(object.body, key);
  if (lines.length === batch.request_counts.total) return lines;
  throw new AppError(
    'corrupt.record',
    `manifest of batch ${batch.id} has ${lines.length} lines, the batch ${batch.request_counts.total}`,
    { details: { key } },
  );
}

async function publishResults(
  store: ObjectStore,
  outputs: FencedOutputs,
  key: string,
  batch: BatchRecord,
  lines: readonly ManifestLine[],
): Promise<void> {
  const bytes = lines.reduce((sum, line) => sum + line.bytes + 1, 0);
  const merged = mergeResults(store, batch, lines);
  const contentType = 'application/jsonl';
  if (bytes > maxFencedBytes) return outputs.writeStream(key, merged, contentType);
  const parts: Uint8Array[] = [];
  for await (const part of merged) parts.push(part);
  return outputs.write(key, Buffer.concat(parts), contentType);
}

const lineEnd = Buffer.from('\n');

/** Completed and failed lines, each in a file of its own, back in input order; every line checked by its digest. */
async function* mergeResults(
  store: ObjectStore,
  { tenant, id }: BatchRecord,
  lines: readonly ManifestLine[],
): AsyncGenerator<Uint8Array> {
  const readers = {
    completed: readResultLines(store, keys.output(tenant, id)),
    failed: readResultLines(store, keys.errors(tenant, id)),
  };
  try {
    for (const { custom_id: customId, outcome, sha256 } of lines) {
      const next = await readers[outcome].next();
      if (next.done === true || sha256Hex(next.value) !== sha256) {
        throw new AppError('corrupt.checksum', `result ${JSON.stringify(customId)} of batch ${id} is not what it was`);
      }
      yield Buffer.concat([next.value, lineEnd]);
    }
  } finally {
    await Promise.all([readers.completed.return(undefined), readers.failed.return(undefined)]);
  }
}

async function* readResultLines(store: ObjectStore, key: string): AsyncGenerator<Buffer> {
  const content = await store.getStream(key);
  if (content !== undefined) yield* splitAtLineEnds(content.stream);
}
