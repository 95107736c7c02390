import { type Static, Type } from 'typebox';

/**
 * What the object store holds about files and batches: the truth. Every record carries `version`.
 * Field names equal OpenAI's where OpenAI has the field; times are unix seconds.
 */
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const metadata = Type.Record(Type.String(), Type.String());

export const fileRecordSchema = Type.Object({
  version: Type.Literal(1),
  id: Type.String(),
  tenant: Type.String(),
  bytes: Type.Integer(),
  created_at: Type.Integer(),
  filename: Type.String(),
  purpose: Type.String(),
  expires_at: nullable(Type.Integer()),
  sha256: Type.String(),
  /** Where the bytes lie: the file's own content, or a batch's output. */
  content_key: Type.String(),
});
export type FileRecord = Static<typeof fileRecordSchema>;

export const batchStates = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof batchStates)[number];

export const usageSchema = Type.Object({
  input_tokens: Type.Integer(),
  input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
  total_tokens: Type.Integer(),
});
export type BatchUsage = Static<typeof usageSchema>;

export const batchErrorSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  param: nullable(Type.String()),
  /** 1-based line of the input file. */
  line: nullable(Type.Integer()),
});
export type BatchError = Static<typeof batchErrorSchema>;

export const batchRecordSchema = Type.Object({
  version: Type.Literal(1),
  id: Type.String(),
  tenant: Type.String(),
  endpoint: Type.String(),
  model: nullable(Type.String()),
  input_file_id: Type.String(),
  /** As the caller wrote it, e.g. `24h`. */
  completion_window: Type.String(),
  status: Type.Enum(batchStates),
  /** The first 100 bad lines; `error_total` counts all, `line-errors.jsonl` lists all. */
  errors: Type.Array(batchErrorSchema),
  error_total: Type.Integer(),
  output_file_id: nullable(Type.String()),
  error_file_id: nullable(Type.String()),
  created_at: Type.Integer(),
  expires_at: Type.Integer(),
  in_progress_at: nullable(Type.Integer()),
  finalizing_at: nullable(Type.Integer()),
  completed_at: nullable(Type.Integer()),
  failed_at: nullable(Type.Integer()),
  expired_at: nullable(Type.Integer()),
  cancelling_at: nullable(Type.Integer()),
  cancelled_at: nullable(Type.Integer()),
  request_counts: Type.Object({ total: Type.Integer(), completed: Type.Integer(), failed: Type.Integer() }),
  usage: nullable(usageSchema),
  metadata: nullable(metadata),
  /** `interactive`: one line behind a waiting HTTP caller, served before all others. */
  priority: Type.Enum(['interactive', 'batch']),
  output_expires_after_seconds: nullable(Type.Integer()),
  /** Tokens after which the batch pauses; left out: there is no such limit. */
  token_budget: Type.Optional(Type.Integer()),
  /** Only while it is paused. */
  paused_at: Type.Optional(Type.Integer()),
});
export type BatchRecord = Static<typeof batchRecordSchema>;

/** One validated request of a batch. `index` is its 0-based place in the input file. */
export interface Line {
  readonly index: number;
  readonly custom_id: string;
  readonly url: LineUrl;
  readonly body: Readonly<Record<string, unknown>>;
}

export const lineUrls = ['/v1/chat/completions', '/v1/analyses', '/v1/embeddings'] as const;
export type LineUrl = (typeof lineUrls)[number];

/** Lines planned to run together because they share a prefix, or because they are short. */
export const planSchema = Type.Object({
  version: Type.Literal(1),
  batch_id: Type.String(),
  units: Type.Array(
    Type.Object({
      id: Type.String(),
      /** Digest of the shared document prefix; null when the lines share none. */
      shared_prefix: nullable(Type.String()),
      lines: Type.Array(Type.Object({ index: Type.Integer(), seed: Type.Integer() })),
    }),
  ),
});
export type Plan = Static<typeof planSchema>;
export type PlannedUnit = Plan['units'][number];

/** One line of output.jsonl or error.jsonl, exactly as the caller reads it. */
export interface OutputLine {
  readonly id: string;
  readonly custom_id: string;
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: Readonly<Record<string, unknown>>;
  } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** A finished line as the unit log keeps it. `completed` goes to output.jsonl, `failed` to error.jsonl. */
export interface LineResult {
  readonly index: number;
  readonly outcome: 'completed' | 'failed';
  readonly output: OutputLine;
}

/** How an entry of the unit log names a checkpoint. */
export interface CheckpointName {
  /** Of its bytes, and its place among the blobs. */
  readonly sha256: string;
  /** Completion tokens of all its lines: more than before is progress. */
  readonly tokens: number;
}

/** Entries of a unit log, one create-once object each. A `seal` ends the log for everybody. */
export type LogEntry =
  | {
      readonly version: 1;
      readonly type: 'claim';
      readonly epoch: number;
      readonly owner: string;
      readonly nonce: string;
    }
  | {
      readonly version: 1;
      readonly type: 'segment';
      readonly epoch: number;
      readonly results: readonly LineResult[];
      /** The newest checkpoint of the unfinished lines; left out where it stays the one before. */
      readonly checkpoint?: CheckpointName;
      /** Index of a line that begins now, with nothing beside it in its worker (`line-suspicion.ts`). */
      readonly alone?: number;
      readonly nonce: string;
    }
  | { readonly version: 1; readonly type: 'seal'; readonly reason: SealReason; readonly nonce: string };

export const sealReasons = ['done', 'cancelled', 'expired', 'quarantined'] as const;
export type SealReason = (typeof sealReasons)[number];
