import { type Clock, unixSeconds } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { type FileId, newFileId } from '../base/ids.ts';
import { keys, type ObjectStore, type StreamedObject } from '../storage/index.ts';
import { decodeFileRecord, encodeRecord } from './decode-record.ts';
import { mapConcurrent } from './map-concurrent.ts';
import type { FileRecord } from './records.schema.ts';
import { Tombstones } from './tombstones.ts';

export interface FileStoreDeps {
  readonly store: ObjectStore;
  readonly clock: Clock;
}

/** Bytes that are stored but belong to no file yet. */
export interface StoredBytes {
  readonly id: FileId;
  readonly tenant: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The entry that would delete the bytes if nothing became of them. */
  readonly expiring: string;
}

export interface FileDescription {
  readonly filename: string;
  readonly purpose: string;
  /** Absent: 30 days for batch inputs, as OpenAI does; other files stay. */
  readonly expiresAfterSeconds?: number | null;
  /** false keeps the file out of listings: the input behind a single call is nobody's file. @defaultValue true */
  readonly listed?: boolean;
}

export interface FilePage {
  readonly data: readonly FileRecord[];
  readonly hasMore: boolean;
}

export interface FileListOptions {
  readonly purpose?: string;
  /** `desc` is newest first. @defaultValue desc */
  readonly order?: 'asc' | 'desc';
  /** Id of the last file of the page before. */
  readonly after?: string;
  readonly limit: number;
}

const batchInputDays = 30;
const secondsADay = 86_400;
const readsAtOnce = 16;
/** Bytes that are no file by then belong to an upload that died: the longest takes 15 minutes. */
const uploadMs = 24 * 60 * 60 * 1000;

/**
 * Files: bytes, a record, and an entry of the newest-first index.
 *
 * F1. The record is written after the bytes, so a file that is found has its bytes.
 * F2. The index is a hint: an entry without record is skipped, and the entry is written before the record.
 * F3. What will have to be deleted some day has an entry in the order of time before it is there itself.
 */
export class FileStore {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #tombstones: Tombstones;

  constructor({ store, clock }: FileStoreDeps) {
    this.#store = store;
    this.#clock = clock;
    this.#tombstones = new Tombstones(store, clock);
  }

  /** Stores bytes as they come. @throws `input.too-large` past `maxBytes`, leaving nothing behind; `transient.*` */
  async storeBytes(tenant: string, body: AsyncIterable<Uint8Array>, maxBytes?: number): Promise<StoredBytes> {
    const id = newFileId();
    const options = maxBytes === undefined ? {} : { maxBytes };
    const expiring = keys.expiring(this.#clock.nowMs() + uploadMs, tenant, id);
    await this.#store.put(expiring, new Uint8Array());
    const { bytes, sha256 } = await this.#store
      .putStream(keys.fileContent(tenant, id), body, options)
      .catch(async (error: unknown) => {
        // a failed stream leaves no bytes, so nothing has to be looked for
        await this.#store.delete([expiring]).catch(() => {});
        throw error;
      });
    return { id, tenant, bytes, sha256, expiring };
  }

  /** Makes stored bytes a file. */
  async describeBytes(stored: StoredBytes, description: FileDescription): Promise<FileRecord> {
    const { id, tenant, bytes, sha256 } = stored;
    const createdAt = unixSeconds(this.#clock.nowMs());
    const lifetime = description.expiresAfterSeconds ?? defaultLifetimeSeconds(description.purpose);
    const record: FileRecord = {
      version: 1,
      id,
      tenant,
      bytes,
      created_at: createdAt,
      filename: description.filename,
      purpose: description.purpose,
      expires_at: lifetime === null ? null : createdAt + lifetime,
      sha256,
      content_key: keys.fileContent(tenant, id),
    };
    await failpoint('upload.before-record');
    await this.saveRecord(record, description.listed ?? true);
    return record;
  }

  /** Removes bytes that will not become a file. */
  async dropBytes({ tenant, id, expiring }: StoredBytes): Promise<void> {
    await this.#store.delete([keys.fileContent(tenant, id), expiring]);
  }

  async saveFile(
    tenant: string,
    body: AsyncIterable<Uint8Array>,
    description: FileDescription,
    maxBytes?: number,
  ): Promise<FileRecord> {
    return this.describeBytes(await this.storeBytes(tenant, body, maxBytes), description);
  }

  /** Writes record and index entry; writing the same record again changes nothing. */
  async saveRecord(record: FileRecord, listed: boolean): Promise<void> {
    const expiring = expiringKeyOf(record);
    await Promise.all([
      ...(listed ? [this.#store.put(indexKeyOf(record), encodeRecord({ version: 1, id: record.id }))] : []),
      ...(expiring === null ? [] : [this.#store.put(expiring, new Uint8Array())]),
    ]);
    await this.#store.put(keys.fileMeta(record.tenant, record.id), encodeRecord(record));
  }

  /** undefined when absent, deleted or expired. */
  async findFile(tenant: string, id: string): Promise<FileRecord | undefined> {
    const record = await this.#read(tenant, id);
    const isExpired = record?.expires_at != null && record.expires_at <= unixSeconds(this.#clock.nowMs());
    return isExpired ? undefined : record;
  }

  async #read(tenant: string, id: string): Promise<FileRecord | undefined> {
    const key = keys.fileMeta(tenant, id);
    const object = await this.#store.get(key);
    return object === undefined ? undefined : decodeFileRecord(object.body, key);
  }

  /** @throws `input.not-found` */
  async getFile(tenant: string, id: string): Promise<FileRecord> {
    const record = await this.findFile(tenant, id);
    if (record !== undefined) return record;
    throw new AppError('input.not-found', `no such file: ${JSON.stringify(id)}`, { param: 'file_id' });
  }

  /** @throws `input.not-found` when file or bytes are gone */
  async openFileContent(tenant: string, id: string): Promise<StreamedObject> {
    const record = await this.getFile(tenant, id);
    const content = await this.#store.getStream(record.content_key);
    if (content !== undefined) return content;
    throw new AppError('input.not-found', `the content of file ${JSON.stringify(id)} was deleted`, {
      param: 'file_id',
    });
  }

  /** @throws `input.not-found` for an `after` that is no file */
  async listFiles(tenant: string, options: FileListOptions): Promise<FilePage> {
    const { purpose, order = 'desc', after, limit } = options;
    const cursor = after === undefined ? undefined : await this.#cursorOf(tenant, after);
    const found: FileRecord[] = [];
    const entries = order === 'desc' ? this.#entries(tenant, cursor) : await this.#entriesReversed(tenant, cursor);
    for await (const page of entries) {
      const records = await mapConcurrent(page, readsAtOnce, (id) => this.findFile(tenant, id));
      for (const record of records) {
        if (record !== undefined && (purpose === undefined || record.purpose === purpose)) found.push(record);
      }
      if (found.length > limit) break;
    }
    return { data: found.slice(0, limit), hasMore: found.length > limit };
  }

  /**
   * Deletes record, bytes and index entry: at once for readers, and for good whatever happens to this process.
   * @throws `input.not-found`
   */
  async deleteFile(tenant: string, id: string): Promise<void> {
    const record = await this.getFile(tenant, id);
    const traces = tracesOf(record);
    await this.#tombstones.bury({ id, tenant, prefixes: [keys.fileRoot(tenant, id)], keys: traces });
    // the record goes first: a file without bytes must not be found
    await this.#store.delete([keys.fileMeta(tenant, id)]);
    await this.#store.delete(traces);
  }

  /**
   * Deletes a file whose time is over by `nowMs`, and bytes that never became one. Nobody finds it any more, so the
   * record goes last and whoever is interrupted can be followed.
   * @returns was it a file?
   */
  async endFile(tenant: string, id: string, nowMs: number): Promise<boolean> {
    const record = await this.#read(tenant, id);
    if (record === undefined) {
      await this.#store.delete([keys.fileContent(tenant, id)]);
      return false;
    }
    if (record.expires_at === null || record.expires_at * 1000 > nowMs) return false;
    await this.#store.delete(tracesOf(record));
    await this.#store.delete([keys.fileMeta(tenant, id)]);
    return true;
  }

  /** Keys of everything there is of a file, for whoever deletes it with something else. */
  async findTraces(tenant: string, id: string): Promise<readonly string[]> {
    const record = await this.#read(tenant, id);
    return record === undefined ? [] : [keys.fileMeta(tenant, id), ...tracesOf(record)];
  }

  async #cursorOf(tenant: string, id: string): Promise<string> {
    return indexKeyOf(await this.getFile(tenant, id));
  }

  /** Ids page by page, newest first. */
  async *#entries(tenant: string, cursor: string | undefined): AsyncGenerator<readonly string[]> {
    for (let after = cursor, more = true; more; ) {
      const listing = await this.#store.list(keys.fileIndexPrefix(tenant), after === undefined ? {} : { after });
      yield listing.objects.map(({ key }) => idOfIndexKey(key));
      after = listing.next ?? undefined;
      more = listing.next !== null;
    }
  }

  /** A store lists forwards only, so oldest first reads the whole index: ids, not records. */
  async #entriesReversed(tenant: string, cursor: string | undefined): Promise<AsyncGenerator<readonly string[]>> {
    const last = cursor === undefined ? undefined : idOfIndexKey(cursor);
    const ids: string[] = [];
    for await (const page of this.#entries(tenant, undefined)) {
      const end = last === undefined ? -1 : page.indexOf(last);
      ids.push(...(end === -1 ? page : page.slice(0, end)));
      if (end !== -1) break;
    }
    return pagesOf(ids.reverse());
  }
}

async function* pagesOf(ids: readonly string[]): AsyncGenerator<readonly string[]> {
  const pageEntries = 1_000;
  for (let start = 0; start < ids.length; start += pageEntries) yield ids.slice(start, start + pageEntries);
}

/** Files of one second are ordered by id: the record knows seconds, and the key must follow from the record. */
const indexKeyOf = (record: FileRecord): string => keys.fileIndex(record.tenant, record.created_at * 1000, record.id);

const expiringKeyOf = ({ expires_at: expiresAt, tenant, id }: FileRecord): string | null =>
  expiresAt === null ? null : keys.expiring(expiresAt * 1000, tenant, id);

/** Everything but the record itself. The upload's own entry goes when its day is over. */
function tracesOf(record: FileRecord): readonly string[] {
  const expiring = expiringKeyOf(record);
  return [record.content_key, indexKeyOf(record), ...(expiring === null ? [] : [expiring])];
}

const idOfIndexKey = (key: string): string => key.slice(key.indexOf('-', key.lastIndexOf('/')) + 1);

function defaultLifetimeSeconds(purpose: string): number | null {
  return purpose === 'batch' ? batchInputDays * secondsADay : null;
}
