import type { BatchObject } from '../../../src/api/schemas/batch.schema.ts';

export const batchId = 'batch_0123456789abcdef01234567';

export function fakeBatch(over: Partial<BatchObject> = {}): BatchObject {
  return {
    id: batchId,
    object: 'batch',
    endpoint: '/v1/analyses',
    errors: null,
    input_file_id: 'file-0123456789abcdef01234567',
    completion_window: '24h',
    status: 'in_progress',
    output_file_id: null,
    error_file_id: null,
    created_at: 990,
    in_progress_at: 992,
    expires_at: 90_000,
    finalizing_at: null,
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelling_at: null,
    cancelled_at: null,
    request_counts: { total: 4, completed: 0, failed: 0 },
    metadata: null,
    ext: { current: [], wait_reason: null, error_total: 0 },
    ...over,
  };
}

export const completedBatch = (over: Partial<BatchObject> = {}): BatchObject =>
  fakeBatch({
    status: 'completed',
    completed_at: 1_000,
    output_file_id: 'file-aaaaaaaaaaaaaaaaaaaaaaaa',
    request_counts: { total: 4, completed: 4, failed: 0 },
    ...over,
  });

/** A line of output.jsonl. */
export const analysisLine = (customId: string, body: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    id: 'batch_req_1',
    custom_id: customId,
    response: {
      status_code: 200,
      request_id: 'req_1',
      body: {
        object: 'analysis',
        parsed: true,
        found: true,
        answer: '60 days',
        citations: [{ document: 1, page: 9, start: 0, end: 4, quote: 'sixty days', verified: true }],
        usage: { prompt_tokens: 900, completion_tokens: 14, prompt_tokens_details: { cached_tokens: 768 } },
        ext: { raw: null },
        ...body,
      },
    },
    error: null,
  });

/** A line of error.jsonl. */
export const failedLine = (customId: string, message: string): string =>
  JSON.stringify({
    id: 'batch_req_2',
    custom_id: customId,
    response: { status_code: 400, request_id: 'req_2', body: { error: { message, code: 'x' } } },
    error: null,
  });
