import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import { unitCheckpointSchema } from './checkpoint.schema.ts';
import { buildDecoder, encodeRecord } from './decode-record.ts';
import { type LineState, tokensOf } from './line-journal.ts';
import type { CheckpointName } from './records.schema.ts';

/** How far every unfinished line of a unit is. */
export interface UnitCheckpoint {
  readonly version: 1;
  readonly batch_id: string;
  readonly unit_id: string;
  readonly epoch: number;
  readonly lines: readonly LineState[];
}

/** Larger ones are neither written nor read: 16 lines of a quarter million tokens take half of it. */
export const maxCheckpointBytes = 64 * 2 ** 20;

export function encodeCheckpoint(checkpoint: UnitCheckpoint): {
  readonly name: CheckpointName;
  readonly body: Uint8Array;
} {
  const body = encodeRecord(checkpoint);
  const states = checkpoint.lines.flatMap(({ requests }) => Object.values(requests));
  const tokens = states.reduce((total, state) => total + tokensOf(state), 0);
  return { name: { sha256: sha256Hex(body), tokens }, body };
}

const decode = buildDecoder(unitCheckpointSchema);

/** What a checkpoint must be to count. */
export interface ExpectedCheckpoint {
  readonly sha256: string;
  readonly batchId: string;
  readonly unitId: string;
}

/**
 * Bytes of a blob → checkpoint.
 * @throws `corrupt.checksum`, `corrupt.version`, `corrupt.record` when too large, misshapen or of another unit
 */
export function decodeCheckpoint(body: Uint8Array, key: string, expected: ExpectedCheckpoint): UnitCheckpoint {
  if (body.byteLength > maxCheckpointBytes) {
    const what = `checkpoint has ${body.byteLength} bytes, allowed: ${maxCheckpointBytes}`;
    throw new AppError('corrupt.record', what, { details: { key } });
  }
  const sha256 = sha256Hex(body);
  if (sha256 !== expected.sha256) {
    const what = `checkpoint has digest ${sha256}, its name says ${expected.sha256}`;
    throw new AppError('corrupt.checksum', what, { details: { key } });
  }
  const checkpoint = decode(body, key);
  if (checkpoint.batch_id === expected.batchId && checkpoint.unit_id === expected.unitId) return checkpoint;
  throw new AppError(
    'corrupt.record',
    `checkpoint is of unit ${checkpoint.unit_id} of ${checkpoint.batch_id}, not ${expected.unitId} of ${expected.batchId}`,
    { details: { key } },
  );
}
