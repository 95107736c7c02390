import { AppError } from '../base/errors.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import type { LineState } from './line-journal.ts';
import type { CheckpointName } from './records.schema.ts';
import { decodeCheckpoint, encodeCheckpoint, maxCheckpointBytes } from './unit-checkpoint.ts';

/** Superseded blobs of one owner are deleted so many at a time: one request instead of eight. */
const maxSuperseded = 8;

/**
 * The checkpoints of one unit: blobs beside its log, of which only the newest that the log names counts.
 *
 * K1. A blob is written before the entry that names it; one without an entry is an orphan, and swept.
 * K2. A blob is deleted only when a newer one is named, by the owner that named it, or by a later owner: so whoever
 *     holds the unit finds the one that its log names.
 * K3. Names are digests of contents with the epoch in them: two owners never write the same blob.
 */
export class CheckpointStore {
  readonly #store: ObjectStore;
  readonly #unit: { readonly batchId: string; readonly unitId: string };
  readonly #prefix: string;
  #named: string | null = null;
  #superseded: string[] = [];

  constructor(store: ObjectStore, tenant: string, batchId: string, unitId: string) {
    this.#store = store;
    this.#unit = { batchId, unitId };
    this.#prefix = keys.unitBlobs(tenant, batchId, unitId);
  }

  /** Stores a blob that nothing names yet. @throws `transient.*` */
  async put(epoch: number, lines: readonly LineState[]): Promise<CheckpointName | 'too-large'> {
    const { batchId, unitId } = this.#unit;
    const { name, body } = encodeCheckpoint({ version: 1, batch_id: batchId, unit_id: unitId, epoch, lines });
    if (body.byteLength > maxCheckpointBytes) return 'too-large';
    await this.#store.put(this.#keyOf(name.sha256), body, { contentType: 'application/json' });
    return name;
  }

  /**
   * The lines of a checkpoint that the log names.
   * @throws `corrupt.*` when it is damaged, missing or of a version we do not know; `transient.*`
   */
  async load({ sha256 }: CheckpointName): Promise<readonly LineState[]> {
    const key = this.#keyOf(sha256);
    // one byte too many is enough to see that it is too large
    const object = await this.#store.get(key, { range: { start: 0, end: maxCheckpointBytes + 1 } });
    if (object === undefined) throw new AppError('corrupt.record', 'checkpoint is not there', { details: { key } });
    return decodeCheckpoint(object.body, key, { sha256, ...this.#unit }).lines;
  }

  /** The log names this one now: the ones before it have had their time. */
  async supersede({ sha256 }: CheckpointName): Promise<void> {
    if (this.#named !== null && this.#named !== sha256) this.#superseded.push(this.#named);
    this.#named = sha256;
    this.#superseded = this.#superseded.filter((old) => old !== sha256);
    if (this.#superseded.length >= maxSuperseded) await this.#delete(this.#superseded.splice(0));
  }

  /** Deletes one that was stored and could not be named. */
  discard({ sha256 }: CheckpointName): Promise<void> {
    return this.#delete([sha256]);
  }

  /** Deletes what earlier owners left, but for the one that is named. @throws `transient.*` */
  async sweep(named: CheckpointName | null): Promise<void> {
    this.#named = named?.sha256 ?? null;
    const mine = named === null ? null : this.#keyOf(named.sha256);
    for (let after: string | null = ''; after !== null; ) {
      const listing = await this.#store.list(this.#prefix, after === '' ? {} : { after });
      const left = listing.objects.map(({ key }) => key).filter((key) => key !== mine);
      if (left.length > 0) await this.#store.delete(left);
      after = listing.next;
    }
  }

  /** The unit is done: nobody goes on from here. Costs nothing where no checkpoint was written. */
  async clear(): Promise<void> {
    const left = this.#named === null ? this.#superseded : [...this.#superseded, this.#named];
    this.#superseded = [];
    this.#named = null;
    if (left.length > 0) await this.#delete(left);
  }

  #keyOf(sha256: string): string {
    return `${this.#prefix}${sha256}`;
  }

  #delete(digests: readonly string[]): Promise<void> {
    return this.#store.delete(digests.map((sha256) => this.#keyOf(sha256)));
  }
}
