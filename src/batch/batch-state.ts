import { AppError } from '../base/errors.ts';
import type { BatchRecord, BatchStatus } from './records.schema.ts';

/**
 * The states of a batch and the moves between them.
 *
 * S1. Terminal states are never left, and a terminal record never changes.
 * S2. A move sets its own timestamp and nothing clears one.
 */
export const legalMoves: Readonly<Record<BatchStatus, readonly BatchStatus[]>> = {
  validating: ['failed', 'in_progress', 'cancelling', 'expired'],
  in_progress: ['finalizing', 'cancelling', 'expired', 'failed'],
  finalizing: ['completed', 'cancelling', 'failed', 'expired'],
  cancelling: ['cancelled'],
  failed: [],
  completed: [],
  expired: [],
  cancelled: [],
};

const timestampOf = {
  in_progress: 'in_progress_at',
  finalizing: 'finalizing_at',
  completed: 'completed_at',
  failed: 'failed_at',
  expired: 'expired_at',
  cancelling: 'cancelling_at',
  cancelled: 'cancelled_at',
} as const;

export function isTerminal(status: BatchStatus): boolean {
  return legalMoves[status].length === 0;
}

export function canMove(from: BatchStatus, to: BatchStatus): boolean {
  return legalMoves[from].includes(to);
}

/** Fields a move may set along the way; status and timestamps are the move's own. */
export type BatchPatch = Partial<
  Pick<
    BatchRecord,
    'model' | 'errors' | 'error_total' | 'output_file_id' | 'error_file_id' | 'request_counts' | 'usage'
  >
>;

/** The record after a move. Pure. @throws `input.state` for a move the table does not have */
export function moveBatch(
  record: BatchRecord,
  to: Exclude<BatchStatus, 'validating'>,
  nowSeconds: number,
  patch: BatchPatch = {},
): BatchRecord {
  if (!canMove(record.status, to)) {
    const allowed = legalMoves[record.status].join(', ');
    throw new AppError(
      'input.state',
      `batch ${record.id} is ${record.status} and cannot become ${to}; ${allowed === '' ? 'it is final' : `allowed: ${allowed}`}`,
      { details: { from: record.status, to } },
    );
  }
  return { ...record, ...patch, status: to, [timestampOf[to]]: nowSeconds };
}

/** New counts or facts without a move. Pure. @throws `input.state` for a terminal batch */
export function patchBatch(record: BatchRecord, patch: BatchPatch): BatchRecord {
  if (isTerminal(record.status)) {
    throw new AppError('input.state', `batch ${record.id} is ${record.status}: a final record does not change`);
  }
  return { ...record, ...patch };
}
