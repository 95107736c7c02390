/**
 * What travels through Redis: ids, hints and volatile progress. Nothing here is the truth; all of it can be rebuilt
 * from the object store.
 */

export const queueNames = { units: 'quire-units', control: 'quire-control' } as const;

/** A unit to run. Job id `<batchId>.<unitId>.<epoch>`; epoch = number of claims seen when it was enqueued. */
export interface UnitJob {
  readonly version: 1;
  readonly tenant: string;
  readonly batchId: string;
  readonly unitId: string;
}

/** A hint to the janitor that a batch wants a look. Its own sweep would find it too, later. */
export interface ControlJob {
  readonly version: 1;
  readonly tenant: string;
  readonly batchId: string;
}

/** Broadcast to whoever listens now; never relied upon. */
export type QuireEvent =
  | { readonly type: 'unit-segment'; readonly batchId: string; readonly unitId: string }
  | { readonly type: 'unit-end'; readonly batchId: string; readonly unitId: string }
  | { readonly type: 'batch-change'; readonly batchId: string; readonly status: string }
  | { readonly type: 'batch-cancel'; readonly batchId: string };

/** What a worker is doing inside one unit, for status answers; lost with Redis, and with the worker after a few seconds. */
export interface UnitProgress {
  readonly unitId: string;
  readonly customId: string;
  readonly step: 'load' | 'prefill' | 'think' | 'answer' | 'wait';
  readonly promptTokens: number;
  readonly prefilledTokens: number;
  readonly completionTokens: number;
  readonly atMs: number;
}
