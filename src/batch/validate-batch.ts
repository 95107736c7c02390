import { failpoint } from '../base/failpoint.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import type { BatchStore } from './batch-store.ts';
import { encodeRecord } from './decode-record.ts';
import { encodeLineIndex } from './line-index.ts';
import { type LineLimits, validateLines } from './line-validation.ts';
import { findPlan, savePlan } from './plan-store.ts';
import { type LineOutline, outlineLine, planUnits } from './planner.ts';
import type { BatchError, BatchRecord, Line, Plan } from './records.schema.ts';

/** What becomes of an input file. */
export type Preparation =
  | { readonly type: 'planned'; readonly plan: Plan; readonly model: string | null }
  | { readonly type: 'rejected'; readonly errors: readonly BatchError[] };

export interface PreparationDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly limits: LineLimits;
}

/**
 * Reads, checks and plans the input of a batch, and stores lines, index and plan. Does not move the batch.
 *
 * Everything written follows from the input file, so a second run after a crash, or next to the first, writes the same
 * bytes; the plan, which also follows from the program's version, is create-once and comes last.
 * @throws `transient.*`; what is wrong with the file is a value
 */
export async function prepareBatch(deps: PreparationDeps, record: BatchRecord): Promise<Preparation> {
  const { store, batches } = deps;
  const { tenant, id } = record;
  const file = await batches.findFile(tenant, record.input_file_id);
  const content = file === undefined ? undefined : await store.getStream(file.content_key);
  if (content === undefined) return reject('input_file_not_found', `input file ${record.input_file_id} does not exist`);
  const intake = new LineIntake();
  const validated = validateLines(content.stream, { endpoint: record.endpoint, limits: deps.limits });
  await store.putStream(keys.lines(tenant, id), intake.encode(validated), { contentType: 'application/jsonl' });
  if (intake.errors.length > 0) {
    await saveLineErrors(store, record, intake.errors);
    return { type: 'rejected', errors: intake.errors };
  }
  await failpoint('validate.before-index');
  await store.put(keys.linesIndex(tenant, id), encodeLineIndex(intake.offsets));
  await failpoint('validate.before-plan');
  const plan = await savePlan(store, tenant, planUnits(id, intake.outlines));
  return { type: 'planned', plan, model: intake.model };
}

/** The plan that is there, else a preparation, which `run` may put off: it reads the whole input. */
export async function preparedBatch(
  deps: PreparationDeps,
  record: BatchRecord,
  run: (prepare: () => Promise<Preparation>) => Promise<Preparation> = (prepare) => prepare(),
): Promise<Preparation> {
  const plan = await findPlan(deps.store, record.tenant, record.id);
  return plan === undefined ? run(() => prepareBatch(deps, record)) : { type: 'planned', plan, model: record.model };
}

/** All bad lines; the record shows the first 100. Nothing runs on the lines that were good. */
async function saveLineErrors(
  store: ObjectStore,
  { tenant, id }: BatchRecord,
  errors: readonly BatchError[],
): Promise<void> {
  const text = errors.map((error) => `${JSON.stringify(error)}\n`).join('');
  await store.put(keys.lineErrors(tenant, id), Buffer.from(text), { contentType: 'application/jsonl' });
  await store.delete([keys.lines(tenant, id)]);
}

function reject(code: string, message: string): Preparation {
  return { type: 'rejected', errors: [{ code, message, param: 'input_file_id', line: null }] };
}

/** Big enough that a store's client is not called for every line. */
const chunkBytes = 64 * 1024;

/** Validated lines on their way to the store: collects offsets, outlines and errors, never bodies. */
class LineIntake {
  readonly offsets: number[] = [0];
  readonly outlines: LineOutline[] = [];
  readonly errors: BatchError[] = [];
  readonly #models = new Set<unknown>();
  #endBytes = 0;

  /** The model, when all lines name the same. */
  get model(): string | null {
    const [model, other] = this.#models;
    return typeof model === 'string' && other === undefined ? model : null;
  }

  async *encode(validated: ReturnType<typeof validateLines>): AsyncGenerator<Uint8Array> {
    let parts: Buffer[] = [];
    let waitingBytes = 0;
    for await (const one of validated) {
      if (one.type === 'error') this.errors.push(one.error);
      // after the first error no line will run, so the rest is only checked
      if (one.type === 'error' || this.errors.length > 0) continue;
      const bytes = this.#take(one.line);
      parts.push(bytes);
      waitingBytes += bytes.length;
      if (waitingBytes < chunkBytes) continue;
      yield Buffer.concat(parts);
      parts = [];
      waitingBytes = 0;
    }
    if (waitingBytes > 0) yield Buffer.concat(parts);
  }

  #take(line: Line): Buffer {
    const bytes = Buffer.concat([encodeRecord(line), Buffer.from('\n')]);
    this.#endBytes += bytes.length;
    this.offsets.push(this.#endBytes);
    this.outlines.push(outlineLine(line, bytes.length));
    this.#models.add(line.body['model']);
    return bytes;
  }
}
