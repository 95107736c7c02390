/**
 * The one table of error codes. Append only: a retired code is never used again.
 * `status` is the HTTP status when the error reaches a caller; `openaiCode` the `code` field of the OpenAI error body.
 * Every code has a section in ERRORS.md; a test keeps both in step.
 */

/** By consequence: what the system does next. */
export type ErrorFamily = 'input' | 'transient' | 'capacity' | 'ownership' | 'corrupt' | 'bug' | 'cancelled';

interface CodeEntry {
  readonly family: ErrorFamily;
  readonly status: number;
  readonly openaiCode: string;
}

const entry = (family: ErrorFamily, status: number, openaiCode: string): CodeEntry => ({ family, status, openaiCode });

export const errorCodes = {
  'input.invalid-request': entry('input', 400, 'invalid_request'),
  'input.invalid-json': entry('input', 400, 'invalid_json'),
  'input.unknown-field': entry('input', 400, 'unknown_parameter'),
  'input.unsupported': entry('input', 400, 'unsupported_parameter'),
  'input.not-found': entry('input', 404, 'not_found'),
  'input.model-not-found': entry('input', 404, 'model_not_found'),
  'input.unauthorized': entry('input', 401, 'invalid_api_key'),
  'input.too-large': entry('input', 413, 'file_too_large'),
  'input.media-type': entry('input', 415, 'unsupported_media_type'),
  'input.context-length': entry('input', 400, 'context_length_exceeded'),
  'input.document-not-found': entry('input', 400, 'document_not_found'),
  'input.encoding': entry('input', 400, 'invalid_encoding'),
  'input.schema': entry('input', 400, 'invalid_schema'),
  'input.config': entry('input', 400, 'invalid_configuration'),
  'input.state': entry('input', 400, 'invalid_state'),
  'input.port-taken': entry('input', 400, 'port_taken'),
  'input.data-folder-locked': entry('input', 400, 'data_folder_locked'),
  'input.model-folder': entry('input', 400, 'invalid_model'),
  'transient.store-unreachable': entry('transient', 503, 'store_unreachable'),
  'transient.store-error': entry('transient', 503, 'store_error'),
  'transient.queue-unreachable': entry('transient', 503, 'queue_unreachable'),
  'transient.engine-interrupted': entry('transient', 503, 'engine_interrupted'),
  'transient.timeout': entry('transient', 503, 'timeout'),
  'transient.stream-diverged': entry('transient', 503, 'stream_diverged'),
  'transient.api-unreachable': entry('transient', 503, 'api_unreachable'),
  'transient.failpoint': entry('transient', 503, 'failpoint'),
  'capacity.engine-busy': entry('capacity', 429, 'engine_busy'),
  'capacity.model-too-large': entry('capacity', 503, 'model_too_large'),
  'ownership.lost': entry('ownership', 409, 'ownership_lost'),
  'corrupt.safetensors': entry('corrupt', 500, 'corrupt_checkpoint'),
  'corrupt.record': entry('corrupt', 500, 'corrupt_record'),
  'corrupt.version': entry('corrupt', 500, 'unknown_version'),
  'corrupt.checksum': entry('corrupt', 500, 'checksum_mismatch'),
  'bug.invariant': entry('bug', 500, 'internal_error'),
  'bug.engine-crash': entry('bug', 500, 'engine_crash'),
  'cancelled.by-user': entry('cancelled', 409, 'batch_cancelled'),
  'cancelled.shutdown': entry('cancelled', 503, 'shutting_down'),
  'cancelled.paused': entry('cancelled', 503, 'batch_paused'),
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof errorCodes;
