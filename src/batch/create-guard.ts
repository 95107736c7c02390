import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import { type BatchId, newBatchId, parseBatchId } from '../base/ids.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { type BatchRequest, fingerprintOf } from './batch-request.ts';
import { checkVersion, encodeRecord, parseStoredJson } from './decode-record.ts';

/** The id a create will have, and when it was first asked for. Two creates with one reservation make one batch. */
export interface Reservation {
  readonly batchId: BatchId;
  readonly atMs: number;
}

interface StoredReservation extends Reservation {
  readonly fingerprint: string;
}

/** The stock client repeats a create within seconds; a person repeats it later and means it. */
const retryWindowMs = 5 * 60 * 1000;
/** As common payment APIs keep their keys. */
const keyWindowMs = 24 * 60 * 60 * 1000;
const maxRaces = 8;

/**
 * Idempotent creates. The reservation is written before anything else of the batch, so that a repeated create finds the
 * id even when the first one is still under way, and both write the same create-once record.
 *
 * - An `Idempotency-Key` names one batch for a day; with other parameters it is refused.
 * - Without a key the stock client still repeats a create whose answer got lost, and says so by a retry count above 0:
 *   within 5 minutes it gets the batch of the last equal create.
 * - A retry count of 0 is a wish of its own: it always gets a new batch, and becomes the one a retry would find.
 * - A caller that derives the id from what it is about (a dropped object) brings its reservation along.
 */
export async function reserveBatch(store: ObjectStore, clock: Clock, request: BatchRequest): Promise<Reservation> {
  const { tenant, idempotencyKey = null, retryCount = 0 } = request;
  if (request.reservation !== undefined) return request.reservation;
  const fingerprint = fingerprintOf(request);
  const mine: StoredReservation = { batchId: newBatchId(), atMs: clock.nowMs(), fingerprint };
  if (idempotencyKey !== null) {
    const key = keys.createdBatch(tenant, sha256Hex(`key:${idempotencyKey}`));
    const first = await reserveOnce(store, key, mine, keyWindowMs);
    if (first.fingerprint === fingerprint) return first;
    throw new AppError('input.invalid-request', 'the idempotency key was used for a batch with other parameters', {
      param: 'Idempotency-Key',
    });
  }
  // nobody repeats a call behind which somebody waits on an open connection
  if (request.priority === 'interactive') return mine;
  const key = keys.createdBatch(tenant, sha256Hex(`same:${fingerprint}`));
  if (retryCount > 0) return reserveOnce(store, key, mine, retryWindowMs);
  await store.put(key, encode(mine));
  return mine;
}

/** The reservation that is there and young enough, else ours. */
async function reserveOnce(
  store: ObjectStore,
  key: string,
  mine: StoredReservation,
  windowMs: number,
): Promise<StoredReservation> {
  for (let race = 0; race < maxRaces; race++) {
    const object = await store.get(key);
    if (object === undefined) {
      if ((await store.create(key, encode(mine))).created) return mine;
      continue;
    }
    const there = decode(object.body, key);
    if (mine.atMs - there.atMs < windowMs) return there;
    if ((await store.swap(key, encode(mine), object.etag)).swapped) return mine;
  }
  throw new AppError('transient.store-error', 'too many equal creates at the same time');
}

function encode({ batchId, atMs, fingerprint }: StoredReservation): Uint8Array {
  return encodeRecord({ version: 1, batch_id: batchId, at_ms: atMs, fingerprint });
}

function decode(body: Uint8Array, key: string): StoredReservation {
  const value = parseStoredJson(body, key);
  checkVersion(value, key);
  const { batch_id: id, at_ms: atMs, fingerprint } = value as Readonly<Record<string, unknown>>;
  if (typeof id === 'string' && typeof atMs === 'number' && typeof fingerprint === 'string') {
    return { batchId: parseBatchId(id), atMs, fingerprint };
  }
  throw new AppError('corrupt.record', 'stored reservation lacks a field', { details: { key } });
}
