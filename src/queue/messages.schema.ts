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
  | { readonly type: 'batch-cancel'; readonly batchId: string }
  /** Workers stop its lines where they are; said again while the pause lasts. */
  | { readonly type: 'batch-pause'; readonly batchId: string }
  /** Only of the one line of a batch whose caller asked for a stream. */
  | { readonly type: 'line-delta'; readonly batchId: string; readonly delta: LineDelta };

/**
 * What one choice of a streamed answer gained. Every piece says where it belongs in the whole, so that a reader can tell
 * what it has already, as when the line ran again, and what it missed.
 */
export interface LineDelta {
  /** Index of the choice. */
  readonly choice: number;
  /** Completion tokens with this delta; a reader that has more already drops it. */
  readonly completionTokens: number;
  readonly reasoning: TextPiece;
  readonly content: TextPiece;
  readonly toolCalls: readonly ToolCallPiece[];
  /** In the form of OpenAI's answers, with the index of the first one; null when not asked for. */
  readonly logprobs: { readonly at: number; readonly tokens: readonly Readonly<Record<string, unknown>>[] } | null;
}

/** `at`: UTF-16 units before it. */
export interface TextPiece {
  readonly at: number;
  readonly text: string;
}

/** The first piece of a call has its id and name. */
export interface ToolCallPiece {
  readonly index: number;
  readonly id: string | null;
  readonly name: string | null;
  readonly arguments: TextPiece;
}

/** What a worker is doing inside one unit, for status answers; lost with Redis, and with the worker after a few seconds. */
export interface UnitProgress {
  readonly unitId: string;
  readonly customId: string;
  readonly step: 'load' | 'prefill' | 'think' | 'answer' | 'wait';
  readonly promptTokens: number;
  readonly prefilledTokens: number;
  readonly completionTokens: number;
  /** By engine request, of all that the worker runs of the batch: evidence of what is lost when it ends. */
  readonly written?: Readonly<Record<string, number>>;
  readonly atMs: number;
}
