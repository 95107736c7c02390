import type {
  EmbedRequest,
  EmbedResult,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
} from '../engine/index.ts';

export interface EngineCallOptions {
  /** Aborting cancels the request; the promise rejects with the signal's reason. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: GenerateProgress) => void;
  /** Only for requests with `stream`. */
  readonly onDelta?: (delta: GenerateDelta) => void;
  readonly onCheckpoint?: (checkpoint: GenerateCheckpoint) => void;
}

/**
 * Asks the engine. Same contract as `EngineClient.generate`.
 * @throws `transient.engine-interrupted` when the engine's process ended; its `details.checkpoint` says how far it was
 */
export type Generate = (request: GenerateRequest, options: EngineCallOptions) => Promise<GenerateResult>;

/** Same contract as `EngineClient.embed`. */
export type Embed = (request: EmbedRequest, options: Pick<EngineCallOptions, 'signal'>) => Promise<EmbedResult>;

/** Takes what one choice of a streamed answer gained; opened anew for every try, since each begins at the beginning. */
export type OpenDeltas = (choice: number) => (delta: GenerateDelta) => void;

export type DocumentRef =
  | { readonly fileId: string }
  | { readonly key: string }
  | { readonly name: string; readonly text: string };

export interface DocumentBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Finds the bytes a request names. @throws `input.document-not-found` naming it, `input.too-large` */
export type LoadDocument = (ref: Exclude<DocumentRef, { text: string }>, signal: AbortSignal) => Promise<DocumentBytes>;
