import { unixSeconds } from '../base/clock.ts';
import type { BatchRequest, checkBatchRequest } from './batch-request.ts';
import type { Reservation } from './create-guard.ts';
import type { BatchRecord } from './records.schema.ts';

/** Everything follows from request and reservation, so that a repeated create writes the same record. */
export function newBatchRecord(
  request: BatchRequest,
  { endpoint, windowSeconds, tokenBudget }: ReturnType<typeof checkBatchRequest>,
  { batchId, atMs }: Reservation,
): BatchRecord {
  const createdAt = unixSeconds(atMs);
  return {
    version: 1,
    id: batchId,
    tenant: request.tenant,
    endpoint,
    model: null,
    input_file_id: request.inputFileId,
    completion_window: request.completionWindow,
    status: 'validating',
    errors: [],
    error_total: 0,
    output_file_id: null,
    error_file_id: null,
    created_at: createdAt,
    expires_at: createdAt + windowSeconds,
    in_progress_at: null,
    finalizing_at: null,
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelling_at: null,
    cancelled_at: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
    usage: null,
    metadata: request.metadata === null ? null : { ...request.metadata },
    priority: request.priority,
    output_expires_after_seconds: request.outputExpiresAfterSeconds,
    ...(tokenBudget === null ? {} : { token_budget: tokenBudget }),
  };
}
