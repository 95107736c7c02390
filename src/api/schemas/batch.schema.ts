import { type Static, Type } from 'typebox';
import { batchErrorSchema, batchStates, lineUrls, usageSchema } from '../../batch/records.schema.ts';
import { listOf, nullable } from './paging.schema.ts';

/** 16 pairs, keys to 64 characters, values to 512: OpenAI's limits. */
export const metadataSchema = Type.Unsafe<Record<string, string>>({
  type: 'object',
  maxProperties: 16,
  propertyNames: { maxLength: 64 },
  additionalProperties: { type: 'string', maxLength: 512 },
});

const metadataAnswerSchema = Type.Record(Type.String(), Type.String());

/** What one unit of the batch is doing now. */
export const currentSchema = Type.Object({
  custom_id: Type.String(),
  step: Type.String(),
  prompt_tokens: Type.Integer(),
  prefilled_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
});

export const batchObjectSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('batch'),
  endpoint: Type.String(),
  model: Type.Optional(Type.String()),
  errors: nullable(Type.Object({ object: Type.Literal('list'), data: Type.Array(batchErrorSchema) })),
  input_file_id: Type.String(),
  completion_window: Type.String(),
  status: Type.Enum(batchStates),
  output_file_id: nullable(Type.String()),
  error_file_id: nullable(Type.String()),
  created_at: Type.Integer(),
  in_progress_at: nullable(Type.Integer()),
  expires_at: Type.Integer(),
  finalizing_at: nullable(Type.Integer()),
  completed_at: nullable(Type.Integer()),
  failed_at: nullable(Type.Integer()),
  expired_at: nullable(Type.Integer()),
  cancelling_at: nullable(Type.Integer()),
  cancelled_at: nullable(Type.Integer()),
  request_counts: Type.Object({ total: Type.Integer(), completed: Type.Integer(), failed: Type.Integer() }),
  usage: Type.Optional(usageSchema),
  metadata: nullable(metadataAnswerSchema),
  /** Everything that is not OpenAI's. */
  ext: Type.Object({
    /** One entry a unit at work; volatile, and empty when nothing runs. */
    current: Type.Array(currentSchema),
    /** Why nothing runs; null while something does, and at the end. */
    wait_reason: nullable(Type.String()),
    /** How far the writing of the result files is: every line is read once and written once. Only while that takes long. */
    finalizing: Type.Optional(
      Type.Object({ lines_read: Type.Integer(), lines_written: Type.Integer(), lines_total: Type.Integer() }),
    ),
    /** Bad lines in all; `errors` lists the first 100. */
    error_total: Type.Integer(),
    /** Only of a batch that has one: tokens it may use, has used by finished lines, and since when that keeps it from going on. */
    token_budget: Type.Optional(
      Type.Object({ tokens: Type.Integer(), used: Type.Integer(), paused_at: nullable(Type.Integer()) }),
    ),
  }),
});
export type BatchObject = Static<typeof batchObjectSchema>;

export const deletedBatchSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('batch'),
  deleted: Type.Literal(true),
});

export const batchListSchema = listOf(batchObjectSchema);

export const batchParamsSchema = Type.Object({ batch_id: Type.String() });
export type BatchParams = Static<typeof batchParamsSchema>;

export const batchListQuerySchema = Type.Object(
  {
    after: Type.Optional(Type.String()),
    limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  },
  { additionalProperties: false },
);
export type BatchListQuery = Static<typeof batchListQuerySchema>;

const tokenBudgetSchema = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });

/** null: no budget any more. */
export const budgetBodySchema = Type.Object(
  { token_budget: nullable(tokenBudgetSchema) },
  { additionalProperties: false },
);
export type BudgetBody = Static<typeof budgetBodySchema>;

export const createBatchBodySchema = Type.Object(
  {
    input_file_id: Type.String(),
    endpoint: Type.Enum(lineUrls),
    /** `1h`, or `12h` to `7d`; typed clients know only `24h`. */
    completion_window: Type.String(),
    metadata: Type.Optional(nullable(metadataSchema)),
    output_expires_after: Type.Optional(
      Type.Object(
        { anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3_600, maximum: 2_592_000 }) },
        { additionalProperties: false },
      ),
    ),
    /** Ours: tokens after which the batch pauses. For typed clients also `metadata.token_budget`. */
    token_budget: Type.Optional(nullable(tokenBudgetSchema)),
  },
  { additionalProperties: false },
);
export type CreateBatchBody = Static<typeof createBatchBodySchema>;
