import type { GenerateOptions, GenerateRequest, GenerateResult } from '../engine/index.ts';

/** Asks the engine. Same contract as `EngineClient.generate`. */
export type Generate = (request: GenerateRequest, options: GenerateOptions) => Promise<GenerateResult>;

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
