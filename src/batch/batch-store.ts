import { type Clock, unixSeconds } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/log.ts';
import { keys, type ObjectStore, prefixes, type StreamedObject } from '../storage/index.ts';
import { type BatchRequest, checkBatchRequest } from './batch-request.ts';
import { isTerminal, moveBatch } from './batch-state.ts';
import { type Reservation, reserveBatch } from './create-guard.ts';
import { checkVersion, decodeBatchRecord, encodeRecord, parseStoredJson } from './decode-record.ts';
import { expireFiles } from './expire-files.ts';
import {
  type FileDescription,
  type FileListOptions,
  type FilePage,
  FileStore,
  type FileStoreDeps,
  type StoredBytes,
} from './file-store.ts';
import { mapConcurrent } from './map-concurrent.ts';
import { newBatchRecord } from './new-batch-record.ts';
import type { BatchRecord, FileRecord } from './records.schema.ts';
import type { StoreTime } from './store-time.ts';
import { changeTokenBudget, checkTokenBudget } from './token-budget.ts';
import { Tombstones } from './tombstones.ts';
import { checkWebhookUrl, type WebhookPolicy } from './webhook/webhook-policy.ts';

export interface BatchStoreDeps extends FileStoreDeps {
  /** Where callers' webhooks may go. Absent: nowhere. */
  readonly webhooks?: WebhookPolicy;
}

export interface BatchPage {
  readonly data: readonly BatchRecord[];
  readonly hasMore: boolean;
}

export interface OpenBatch {
  readonly tenant: string;
  readonly batchId: string;
  readonly markedMs: number;
}

const readsAtOnce = 16;
/** Writers of one record are an api process or two and the janitor; more losses in a row are a fault. */
const maxSwapRaces = 20;
/** A marker whose batch is missing for so long belongs to a create that died; see `createBatch`. */
const staleMarkerMs = 60 * 60 * 1000;
/** A create that took longer than this may have had its marker swept. */
const slowCreateMs = staleMarkerMs / 4;

/**
 * Files and batches as the object store holds them.
 *
 * B1. `batch.json` is written last: before it there is no batch, with it there is everything a batch needs to run.
 * B2. `batch.json` changes by compare-and-swap only.
 * B3. An open marker outlives its batch's last move: it is deleted by the janitor after the terminal record is written.
 * B4. Index entries and markers are hints; one without batch is skipped, and swept when it is an hour old.
 */
export class BatchStore {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #files: FileStore;
  readonly #tombstones: Tombstones;
  readonly #webhooks: WebhookPolicy;
  /** Tenants by marker key, so that a sweep reads each marker once. */
  readonly #tenants = new Map<string, string>();

  constructor(deps: BatchStoreDeps) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#files = new FileStore(deps);
    this.#tombstones = new Tombstones(deps.store, deps.clock);
    this.#webhooks = deps.webhooks ?? { url: null, allow: [] };
  }

  /**
   * Creates a batch in `validating`. A repeated create returns the batch of the first (see `reserveBatch`).
   * @throws `input.invalid-request`, `input.not-found` for the input file, `input.state` when that first batch was
   * deleted, `transient.*`
   */
  async createBatch(request: BatchRequest): Promise<BatchRecord> {
    const checked = checkBatchRequest(request);
    const webhookUrl = request.metadata?.['webhook_url'];
    if (webhookUrl !== undefined) checkWebhookUrl(webhookUrl, this.#webhooks);
    await this.#checkInputFile(request);
    const reservation = await reserveBatch(this.#store, this.#clock, request);
    const existing = await this.findBatch(request.tenant, reservation.batchId);
    if (existing !== undefined) return existing;
    if (mayRepeat(request)) await this.#checkNotDeleted(reservation.batchId);
    return this.#writeBatch(newBatchRecord(request, checked, reservation), reservation);
  }

  async #checkNotDeleted(id: string): Promise<void> {
    if (!(await this.#tombstones.isBuried(id))) return;
    throw new AppError('input.state', `batch ${id}, which this create repeats, was deleted`, { details: { id } });
  }

  async #checkInputFile({ tenant, inputFileId }: BatchRequest): Promise<void> {
    const file = await this.findFile(tenant, inputFileId);
    if (file === undefined) {
      const message = `no such file: ${JSON.stringify(inputFileId)}`;
      throw new AppError('input.not-found', message, { param: 'input_file_id' });
    }
    if (file.purpose === 'batch') return;
    const message = `file ${file.id} has purpose ${JSON.stringify(file.purpose)}; a batch needs one uploaded with purpose "batch"`;
    throw new AppError('input.invalid-request', message, { param: 'input_file_id' });
  }

  /**
   * Marker and index entry first, then the record: a crash in between leaves hints without a batch, never a batch
   * without hints, and nothing is acknowledged before the record is there.
   */
  async #writeBatch(record: BatchRecord, { atMs }: Reservation): Promise<BatchRecord> {
    const mark = (): Promise<unknown> => this.#mark(record);
    const listed = record.priority === 'batch';
    await Promise.all([
      mark(),
      ...(listed
        ? [this.#store.put(keys.batchIndex(atMs, record.id), encodeRecord({ version: 1, id: record.id }))]
        : []),
    ]);
    const markedMs = this.#clock.nowMs();
    await failpoint('create.before-record');
    const { created } = await this.#store.create(keys.batch(record.tenant, record.id), encodeRecord(record));
    if (this.#clock.nowMs() - markedMs > slowCreateMs) await mark();
    return created ? record : await this.getBatch(record.tenant, record.id);
  }

  #mark({ tenant, id }: BatchRecord): Promise<unknown> {
    return this.#store.put(keys.open(id), encodeRecord({ version: 1, tenant }));
  }

  async findBatch(tenant: string, id: string): Promise<BatchRecord | undefined> {
    return (await this.#read(tenant, id))?.record;
  }

  /** @throws `input.not-found` */
  async getBatch(tenant: string, id: string): Promise<BatchRecord> {
    const record = await this.findBatch(tenant, id);
    if (record !== undefined) return record;
    throw new AppError('input.not-found', `no such batch: ${JSON.stringify(id)}`, { param: 'batch_id' });
  }

  /**
   * Changes a batch by compare-and-swap. `change` sees the current record and returns the next one, or the same object
   * for no change; it runs again when somebody else was faster.
   * @throws `input.not-found`; what `change` throws; `transient.store-error` after too many lost races
   */
  async updateBatch(tenant: string, id: string, change: (record: BatchRecord) => BatchRecord): Promise<BatchRecord> {
    for (let race = 0; race < maxSwapRaces; race++) {
      const current = await this.#read(tenant, id);
      if (current === undefined) return this.getBatch(tenant, id);
      const next = change(current.record);
      if (next === current.record) return next;
      const { swapped } = await this.#store.swap(keys.batch(tenant, id), encodeRecord(next), current.etag);
      if (swapped) return next;
    }
    throw new AppError('transient.store-error', `batch ${id} was changed by others ${maxSwapRaces} times in a row`);
  }

  async #read(
    tenant: string,
    id: string,
  ): Promise<{ readonly record: BatchRecord; readonly etag: string } | undefined> {
    const key = keys.batch(tenant, id);
    const object = await this.#store.get(key);
    return object === undefined ? undefined : { record: decodeBatchRecord(object.body, key), etag: object.etag };
  }

  /**
   * Asks for the end of a batch; the janitor seals its units and writes what is finished. Cancelling twice is no error.
   * @throws `input.state` for a batch that is final; `input.not-found`
   */
  cancelBatch(tenant: string, id: string): Promise<BatchRecord> {
    return this.updateBatch(tenant, id, (record) =>
      record.status === 'cancelling' ? record : moveBatch(record, 'cancelling', unixSeconds(this.#clock.nowMs())),
    );
  }

  /**
   * Gives a batch another token budget; null: none. One that is paused goes on when this one is not used up.
   * @throws `input.invalid-request`; `input.state` for a batch that is final; `input.not-found`
   */
  setTokenBudget(tenant: string, id: string, tokens: number | null): Promise<BatchRecord> {
    if (tokens !== null) checkTokenBudget(tokens, 'token_budget');
    return this.updateBatch(tenant, id, (record) => changeTokenBudget(record, tokens));
  }

  /**
   * Deletes a batch that is final, with its results: nobody finds it from here on, and the janitor removes every object
   * of it with its next sweep. The input of a single call goes with it; a file that somebody uploaded stays.
   * @throws `input.state` for a batch that is not final; `input.not-found`
   */
  async deleteBatch(tenant: string, id: string): Promise<void> {
    const record = await this.getBatch(tenant, id);
    if (!isTerminal(record.status)) {
      const message = `batch ${id} is ${record.status}; only a batch that is completed, failed, expired or cancelled can be deleted`;
      throw new AppError('input.state', message, { details: { status: record.status } });
    }
    const fileIds = [record.output_file_id, record.error_file_id].filter((fileId) => fileId !== null);
    if (record.priority === 'interactive') fileIds.push(record.input_file_id);
    const traces = await mapConcurrent(fileIds, readsAtOnce, (fileId) => this.#files.findTraces(tenant, fileId));
    const entry = await this.#findIndexKey(record);
    await this.#tombstones.bury({
      id,
      tenant,
      prefixes: [keys.batchRoot(tenant, id)],
      keys: [keys.pendingWebhook(id), keys.open(id), ...traces.flat(), ...(entry === undefined ? [] : [entry])],
    });
    // records first: what is found has its bytes
    await this.#store.delete([keys.batch(tenant, id), ...fileIds.map((fileId) => keys.fileMeta(tenant, fileId))]);
  }

  /** Removes what was deleted, and files whose time is over. @throws `transient.*` */
  async sweepDeleted(time: StoreTime, log: Logger): Promise<void> {
    const deleted = await this.#tombstones.sweep();
    const expired = await expireFiles({ store: this.#store, files: this.#files, time, log });
    if (deleted + expired > 0) log.info({ deleted, expired }, 'deleted objects and expired files removed');
  }

  /** Newest first; batches behind single calls are not listed. @throws `input.not-found` for an `after` that is no batch */
  async listBatches(
    tenant: string,
    { after, limit }: { readonly after?: string; readonly limit: number },
  ): Promise<BatchPage> {
    let cursor = after === undefined ? undefined : await this.#cursorOf(await this.getBatch(tenant, after));
    const found: BatchRecord[] = [];
    for (let more = true; more && found.length <= limit; ) {
      const listing = await this.#store.list(prefixes.batchIndex, {
        limit: Math.min(limit + 1, 1_000),
        ...(cursor === undefined ? {} : { after: cursor }),
      });
      const ids = listing.objects.map(({ key }) => idOfIndexKey(key));
      const records = await mapConcurrent(ids, readsAtOnce, (id) => this.findBatch(tenant, id));
      found.push(...records.filter((record) => record !== undefined));
      cursor = listing.next ?? undefined;
      more = listing.next !== null;
    }
    return { data: found.slice(0, limit), hasMore: found.length > limit };
  }

  /** An unlisted batch as cursor: what is older than its second. */
  async #cursorOf(record: BatchRecord): Promise<string> {
    return (await this.#findIndexKey(record)) ?? keys.batchIndex(record.created_at * 1000, '~');
  }

  /** The record knows seconds, the index milliseconds: the entry is one of that second. */
  async #findIndexKey({ id, created_at: createdAt }: BatchRecord): Promise<string | undefined> {
    const end = keys.batchIndex(createdAt * 1000, '~');
    let after: string | null = keys.batchIndex((createdAt + 1) * 1000, '~');
    while (after !== null && after < end) {
      const listing = await this.#store.list(prefixes.batchIndex, { after });
      const entry = listing.objects.find(({ key }) => idOfIndexKey(key) === id);
      if (entry !== undefined) return entry.key;
      after = listing.next;
    }
    return undefined;
  }

  /** Every batch that may not be final, page by page. */
  async *listOpen(): AsyncGenerator<readonly OpenBatch[]> {
    for (let after: string | null = ''; after !== null; ) {
      const listing = await this.#store.list(prefixes.open, after === '' ? {} : { after });
      const tenants = await mapConcurrent(listing.objects, readsAtOnce, ({ key }) => this.#tenantOf(key));
      yield listing.objects.flatMap(({ key, lastModifiedMs }, place) => {
        const tenant = tenants[place];
        // gone since the listing: the batch has just ended
        if (tenant === undefined || tenant === null) return [];
        return [{ batchId: key.slice(prefixes.open.length), tenant, markedMs: lastModifiedMs }];
      });
      after = listing.next;
    }
  }

  async #tenantOf(markerKey: string): Promise<string | null> {
    const known = this.#tenants.get(markerKey);
    if (known !== undefined) return known;
    const object = await this.#store.get(markerKey);
    if (object === undefined) return null;
    const value = parseStoredJson(object.body, markerKey);
    checkVersion(value, markerKey);
    const { tenant } = value as { tenant?: unknown };
    if (typeof tenant !== 'string') {
      throw new AppError('corrupt.record', 'open marker names no tenant', { details: { key: markerKey } });
    }
    this.#tenants.set(markerKey, tenant);
    return tenant;
  }

  /** Ends the sweep of a batch that is final, or of a create that died long ago. */
  async closeMarker({ batchId, markedMs }: Pick<OpenBatch, 'batchId' | 'markedMs'>, hasRecord: boolean): Promise<void> {
    if (!hasRecord && this.#clock.nowMs() - markedMs < staleMarkerMs) return;
    await this.#store.delete([keys.open(batchId)]);
    this.#tenants.delete(keys.open(batchId));
  }

  /** Puts a marker for every listed batch that is not final and has none. @returns how many there were */
  async repairMarkers(tenant: string): Promise<number> {
    let repaired = 0;
    for (let after: string | null = ''; after !== null; ) {
      const listing = await this.#store.list(prefixes.batchIndex, after === '' ? {} : { after });
      const ids = listing.objects.map(({ key }) => idOfIndexKey(key));
      const records = await mapConcurrent(ids, readsAtOnce, (id) => this.findBatch(tenant, id));
      for (const record of records) {
        if (record === undefined || isTerminal(record.status)) continue;
        if ((await this.#store.head(keys.open(record.id))) !== undefined) continue;
        await this.#mark(record);
        repaired += 1;
      }
      after = listing.next;
    }
    return repaired;
  }

  storeBytes(tenant: string, body: AsyncIterable<Uint8Array>, maxBytes?: number): Promise<StoredBytes> {
    return this.#files.storeBytes(tenant, body, maxBytes);
  }

  describeBytes(stored: StoredBytes, description: FileDescription): Promise<FileRecord> {
    return this.#files.describeBytes(stored, description);
  }

  dropBytes(stored: StoredBytes): Promise<void> {
    return this.#files.dropBytes(stored);
  }

  saveFile(
    tenant: string,
    body: AsyncIterable<Uint8Array>,
    description: FileDescription,
    maxBytes?: number,
  ): Promise<FileRecord> {
    return this.#files.saveFile(tenant, body, description, maxBytes);
  }

  saveFileRecord(record: FileRecord, listed: boolean): Promise<void> {
    return this.#files.saveRecord(record, listed);
  }

  findFile(tenant: string, id: string): Promise<FileRecord | undefined> {
    return this.#files.findFile(tenant, id);
  }

  getFile(tenant: string, id: string): Promise<FileRecord> {
    return this.#files.getFile(tenant, id);
  }

  openFileContent(tenant: string, id: string): Promise<StreamedObject> {
    return this.#files.openFileContent(tenant, id);
  }

  listFiles(tenant: string, options: FileListOptions): Promise<FilePage> {
    return this.#files.listFiles(tenant, options);
  }

  deleteFile(tenant: string, id: string): Promise<void> {
    return this.#files.deleteFile(tenant, id);
  }
}

/** May this create name a batch that was made before? Only then can it have been deleted. */
const mayRepeat = ({ idempotencyKey = null, retryCount = 0, reservation }: BatchRequest): boolean =>
  idempotencyKey !== null || retryCount > 0 || reservation !== undefined;

const idOfIndexKey = (key: string): string => key.slice(key.indexOf('-', key.lastIndexOf('/')) + 1);
