import { type FinalizingProgress, isPaused } from '../../batch/index.ts';
import type { BatchRecord } from '../../batch/records.schema.ts';
import type { UnitProgress } from '../../queue/messages.schema.ts';
import type { BatchObject } from '../schemas/batch.schema.ts';

/** Volatile facts beside a batch's record. */
export interface BatchActivity {
  readonly current: readonly UnitProgress[];
  readonly waitReason: string | null;
  readonly finalizing: FinalizingProgress | null;
}

export const noActivity: BatchActivity = { current: [], waitReason: null, finalizing: null };

/** Record → OpenAI's batch object; what OpenAI does not have stands under `ext`. */
export function presentBatch(record: BatchRecord, activity: BatchActivity): BatchObject {
  return {
    id: record.id,
    object: 'batch',
    endpoint: record.endpoint,
    ...(record.model === null ? {} : { model: record.model }),
    errors: record.errors.length === 0 ? null : { object: 'list', data: record.errors },
    input_file_id: record.input_file_id,
    completion_window: record.completion_window,
    status: record.status,
    output_file_id: record.output_file_id,
    error_file_id: record.error_file_id,
    created_at: record.created_at,
    in_progress_at: record.in_progress_at,
    expires_at: record.expires_at,
    finalizing_at: record.finalizing_at,
    completed_at: record.completed_at,
    failed_at: record.failed_at,
    expired_at: record.expired_at,
    cancelling_at: record.cancelling_at,
    cancelled_at: record.cancelled_at,
    request_counts: record.request_counts,
    ...(record.usage === null ? {} : { usage: record.usage }),
    metadata: record.metadata,
    ext: {
      current: activity.current.map(presentCurrent),
      wait_reason: activity.waitReason,
      ...(activity.finalizing === null ? {} : { finalizing: activity.finalizing }),
      error_total: record.error_total,
      ...(record.token_budget === undefined ? {} : { token_budget: presentBudget(record) }),
    },
  };
}

const presentBudget = (record: BatchRecord): NonNullable<BatchObject['ext']['token_budget']> => ({
  tokens: record.token_budget ?? 0,
  used: record.usage?.total_tokens ?? 0,
  paused_at: isPaused(record) ? (record.paused_at ?? null) : null,
});

export const presentCurrent = (progress: UnitProgress): BatchObject['ext']['current'][number] => ({
  custom_id: progress.customId,
  step: progress.step,
  prompt_tokens: progress.promptTokens,
  prefilled_tokens: progress.prefilledTokens,
  completion_tokens: progress.completionTokens,
});
