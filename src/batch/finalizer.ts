import { failpoint } from '../base/failpoint.ts';
import { sha256Hex } from '../base/hash.ts';
import { invariant } from '../base/invariant.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import type { BatchStore } from './batch-store.ts';
import { countSlots } from './count-slots.ts';
import { readLines } from './line-reader.ts';
import { mapConcurrent } from './map-concurrent.ts';
import { lineTotalOf } from './plan-store.ts';
import type { BatchRecord, BatchUsage, FileRecord, LineResult, Plan, PlannedUnit } from './records.schema.ts';
import { ResultSpool } from './result-spool.ts';
import { openUnitLog, type UnitLogState } from './unit-log.ts';
import { buildUnrunResult } from './unrun-line.ts';
import { addUsage, noUsage, usageOf } from './usage.ts';

export interface FinalizerDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  /** Called after every unit that was read, and every chunk of lines that was written. */
  readonly onProgress?: (progress: FinalizingProgress) => void;
}

/** Every line is read once and written once; the two halves of the work. */
export interface FinalizingProgress {
  readonly lines_read: number;
  readonly lines_written: number;
  readonly lines_total: number;
}

/** What the terminal record says. Counts and usage are recounted from the logs, never carried over. */
export interface Finalized {
  readonly request_counts: BatchRecord['request_counts'];
  readonly usage: BatchUsage;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  /** A unit was sealed because time ran out. */
  readonly isExpired: boolean;
}

interface FinishedLine {
  readonly customId: string;
  readonly outcome: LineResult['outcome'];
  readonly sha256: string;
  readonly bytes: number;
  readonly usage: BatchUsage | null;
}

interface ResultFile {
  readonly key: string;
  readonly file_id: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly lines: number;
}

/** Logs held in memory at once. */
const unitsAtOnce = 4;

/**
 * Writes output, errors and manifest of a batch whose units are all sealed, and the records of the two files.
 *
 * F1. Every line of the plan is in exactly one of the two files, in input order.
 * F2. All bytes, ids and times follow from the sealed logs and the record, so finalizing twice, or in two processes at
 *     once, writes the same objects.
 * @throws `bug.invariant` when a unit is not sealed; `corrupt.*`, `transient.*`
 */
export async function finalizeBatch(deps: FinalizerDeps, record: BatchRecord, plan: Plan): Promise<Finalized> {
  const spool = new ResultSpool();
  try {
    const lines: FinishedLine[] = [];
    const linesTotal = lineTotalOf(plan);
    let [linesRead, linesWritten] = [0, 0];
    const report = (): void =>
      deps.onProgress?.({ lines_read: linesRead, lines_written: linesWritten, lines_total: linesTotal });
    const slotTotals = await countSlots(deps.store, record);
    const reasons = await mapConcurrent(plan.units, unitsAtOnce, async (unit) => {
      const log = openUnitLog(deps.store, record.tenant, record.id, unit.id);
      const reason = await collectUnit(deps, record, unit, await log.fold(slotTotals.get(unit.id)), { spool, lines });
      linesRead += unit.lines.length;
      report();
      return reason;
    });
    const onWritten = (lineTotal: number): void => {
      linesWritten += lineTotal;
      report();
    };
    invariant(linesRead === linesTotal && lines.length === linesTotal, 'every line of the plan has a result');
    const output = await writeResults(deps, record, 'completed', { lines, spool, onWritten });
    const errors = await writeResults(deps, record, 'failed', { lines, spool, onWritten });
    const usage = lines.reduce((sum, line) => addUsage(sum, line.usage), noUsage);
    const completed = output?.lines ?? 0;
    const failed = errors?.lines ?? 0;
    await failpoint('finalize.before-manifest');
    await writeManifest(deps.store, record, lines, { output, errors, usage });
    return {
      request_counts: { total: completed + failed, completed, failed },
      usage,
      output_file_id: output?.file_id ?? null,
      error_file_id: errors?.file_id ?? null,
      isExpired: reasons.includes('expired'),
    };
  } finally {
    await spool.close();
  }
}

async function collectUnit(
  { store }: FinalizerDeps,
  { tenant, id }: BatchRecord,
  unit: PlannedUnit,
  { results, sealed }: UnitLogState,
  { spool, lines }: { readonly spool: ResultSpool; readonly lines: FinishedLine[] },
): Promise<string> {
  invariant(sealed !== null, `unit ${unit.id} is sealed before its batch is finalized`);
  const missing = unit.lines.map(({ index }) => index).filter((index) => !results.has(index));
  const unrun = missing.length === 0 ? [] : await readLines(store, tenant, id, missing);
  const filled = new Map(unrun.map((line) => [line.index, buildUnrunResult(id, line, sealed)]));
  for (const { index } of unit.lines) {
    const result = results.get(index) ?? filled.get(index);
    invariant(result !== undefined, `line ${index} has a result or a reason for none`);
    const bytes = Buffer.from(JSON.stringify(result.output));
    lines[index] = {
      customId: result.output.custom_id,
      outcome: result.outcome,
      sha256: sha256Hex(bytes),
      bytes: bytes.length,
      usage: usageOf(result),
    };
    await spool.add(index, bytes);
  }
  return sealed;
}

const lineEnd = Buffer.from('\n');
const chunkBytes = 64 * 1024;

interface Collected {
  readonly lines: readonly FinishedLine[];
  readonly spool: ResultSpool;
  readonly onWritten: (lineTotal: number) => void;
}

async function* resultBytes(
  outcome: LineResult['outcome'],
  { lines, spool, onWritten }: Collected,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let waitingBytes = 0;
  for (const [index, line] of lines.entries()) {
    if (line.outcome !== outcome) continue;
    parts.push(await spool.read(index), lineEnd);
    waitingBytes += line.bytes + 1;
    if (waitingBytes < chunkBytes) continue;
    yield Buffer.concat(parts);
    // each line is two parts: itself and its end
    onWritten(parts.length / 2);
    parts = [];
    waitingBytes = 0;
  }
  if (waitingBytes === 0) return;
  yield Buffer.concat(parts);
  onWritten(parts.length / 2);
}

/** null when there is no such line: a file that says nothing is not made. */
async function writeResults(
  { store, batches }: FinalizerDeps,
  record: BatchRecord,
  outcome: LineResult['outcome'],
  collected: Collected,
): Promise<ResultFile | null> {
  const lineTotal = collected.lines.filter((line) => line.outcome === outcome).length;
  if (lineTotal === 0) return null;
  const { tenant, id } = record;
  const kind = outcome === 'completed' ? 'output' : 'error';
  const key = outcome === 'completed' ? keys.output(tenant, id) : keys.errors(tenant, id);
  const contentType = 'application/jsonl';
  const { bytes, sha256 } = await store.putStream(key, resultBytes(outcome, collected), { contentType });
  const fileRecord: FileRecord = {
    version: 1,
    id: `file-${sha256Hex(`${id}/${kind}`).slice(0, 24)}`,
    tenant,
    bytes,
    created_at: endedAt(record),
    filename: `${id}_${kind}.jsonl`,
    purpose: 'batch_output',
    expires_at:
      record.output_expires_after_seconds === null ? null : endedAt(record) + record.output_expires_after_seconds,
    sha256,
    content_key: key,
  };
  await failpoint('finalize.before-record');
  await batches.saveFileRecord(fileRecord, record.priority === 'batch');
  return { key, file_id: fileRecord.id, sha256, bytes, lines: lineTotal };
}

/** The same in every try: the first of the moves that lead here. */
const endedAt = (record: BatchRecord): number => record.finalizing_at ?? record.cancelling_at ?? record.expires_at;

interface ManifestParts {
  readonly output: ResultFile | null;
  readonly errors: ResultFile | null;
  readonly usage: BatchUsage;
}

/** Hash and size of every line, without its line end, so that anybody can check that nothing is missing. */
async function writeManifest(
  store: ObjectStore,
  { tenant, id }: BatchRecord,
  lines: readonly FinishedLine[],
  { output, errors, usage }: ManifestParts,
): Promise<void> {
  const manifest = {
    version: 1,
    batch_id: id,
    input_lines: lines.length,
    output,
    error: errors,
    lines: lines.map(({ customId, ...line }) => ({ custom_id: customId, ...line })),
    totals: { completed: output?.lines ?? 0, failed: errors?.lines ?? 0, usage },
  };
  await store.put(keys.manifest(tenant, id), Buffer.from(JSON.stringify(manifest)), {
    contentType: 'application/json',
  });
}
