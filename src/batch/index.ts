export type { AnalysisRequest, DocumentRef } from './analysis-request.ts';
export type { BatchRequest } from './batch-request.ts';
export { canMove, isTerminal, legalMoves, moveBatch, patchBatch } from './batch-state.ts';
export { type BatchPage, BatchStore, type OpenBatch } from './batch-store.ts';
export { type BatchProgress, BatchWatch } from './batch-watch.ts';
export type { ChatRequest } from './chat-request.ts';
export { CheckpointStore } from './checkpoint-store.ts';
export type { EmbeddingsRequest } from './embeddings-request.ts';
export type { FileDescription, FileListOptions, FilePage, StoredBytes } from './file-store.ts';
export { type Finalized, type FinalizingProgress, finalizeBatch } from './finalizer.ts';
export { findFinalizing } from './finalizing-progress.ts';
export { Janitor, type JanitorDeps } from './janitor.ts';
export type { LineJournal, LineState, RequestState } from './line-journal.ts';
export { readLines } from './line-reader.ts';
export { lineTokenOf } from './line-token.ts';
export { type LineLimits, type ValidatedLine, validateLines } from './line-validation.ts';
export { findPlan, loadPlan } from './plan-store.ts';
export { planUnits } from './planner.ts';
export { type RebuiltQueue, rebuildQueue } from './rebuild-queue.ts';
export type {
  BatchError,
  BatchRecord,
  BatchStatus,
  BatchUsage,
  FileRecord,
  Line,
  LineResult,
  LineUrl,
  OutputLine,
  Plan,
  PlannedUnit,
  SealReason,
} from './records.schema.ts';
export { type LineRequest, type LineRules, parseLineRequest } from './request-validation.ts';
export { describePause, isPaused } from './token-budget.ts';
export { type JobLineTask, runUnitJob, type UnitJobDeps, type UnitName } from './unit-job.ts';
export { openUnitLog, type UnitLog, type UnitLogState } from './unit-log.ts';
export { runUnit, type UnitLineAnswer, type UnitLineTask, type UnitRunnerDeps } from './unit-runner.ts';
export { buildUnrunResult } from './unrun-line.ts';
export { buildWebhookSender } from './webhook/send-webhook.ts';
export { parseWebhookSecret } from './webhook/webhook-event.ts';
export { WebhookOutbox } from './webhook/webhook-outbox.ts';
