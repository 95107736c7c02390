import { lineTokenOf } from './line-token.ts';
import type { Line, LineResult, SealReason } from './records.schema.ts';

/** What the caller reads about a line that has no result when its unit is sealed. */
const reasons: Readonly<Record<SealReason, { readonly code: string; readonly message: string }>> = {
  cancelled: {
    code: 'batch_cancelled',
    message: 'This request was not executed because the batch was cancelled.',
  },
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  quarantined: {
    code: 'line_quarantined',
    message: 'This request was set aside because the workers that ran its group ended again and again.',
  },
  // a unit is sealed as done by the worker that finished all its lines, so this is our fault and says so
  done: { code: 'internal_error', message: 'This request has no result although its group was finished.' },
};

/** The error line of a line that never came to a result. The same every time it is built. */
export function buildUnrunResult(
  batchId: string,
  line: Pick<Line, 'index' | 'custom_id'>,
  reason: SealReason,
): LineResult {
  return {
    index: line.index,
    outcome: 'failed',
    output: {
      id: `batch_req_${lineTokenOf(batchId, line.index)}`,
      custom_id: line.custom_id,
      response: null,
      error: reasons[reason],
    },
  };
}
