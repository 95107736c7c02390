import type { AnswerFormat } from './messages.ts';

/** Rows of a latent block, of a prefix-cache page, of a stored file: one number everywhere. */
export const blockRows = 256;

/** One `[rows, latentWidth]` float32 array a layer; row r of layer l starts at `r * latentWidth`. */
export type LatentLayers = readonly Float32Array[];

/**
 * One run over rows [start, start + tokenIds.length) of one sequence.
 * The sequence's earlier rows are `prefix[0, prefixRows)` followed by `suffix[0, start - prefixRows)`.
 * Both arrays are read without copying; the caller stores the new rows itself.
 */
export interface StepInput {
  readonly tokenIds: ArrayLike<number>;
  readonly start: number;
  readonly prefix: LatentLayers;
  /** A multiple of `blockRows`, possibly 0; the arrays hold at least `max(prefixRows, blockRows)` rows. */
  readonly prefixRows: number;
  /** Hold at least `start + tokenIds.length - prefixRows` rows rounded up to `blockRows`. */
  readonly suffix: LatentLayers;
  /** `last`: one row of logits; `all`: one a token; `none`: not computed. */
  readonly logits: 'none' | 'last' | 'all';
}

export interface StepOutput {
  /** `[1 | tokens | 0, vocabularySize]` */
  readonly logits: Float32Array;
  /** `[layers, tokens, latentWidth]`: post-norm latent and post-RoPE key of each new row. */
  readonly latents: Float32Array;
}

export interface ModelRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  run(input: StepInput): Promise<StepOutput>;
  close(): Promise<void>;
}

export interface Tokenizer {
  readonly vocabularySize: number;
  /** Plain text: no special token can come out, whatever the text says. */
  encodePlain(text: string): number[];
  /** Id of a special token such as `<|im_end|>`; throws `input.model-folder` when the tokenizer lacks it. */
  specialId(token: string): number;
  /** Bytes a token stands for; empty for special tokens. */
  tokenBytes(id: number): Uint8Array;
  decode(ids: readonly number[]): string;
  /** Streaming: holds back incomplete UTF-8. */
  openDecoder(): TokenDecoder;
}

export interface TokenDecoder {
  push(id: number): string;
  flush(): string;
}

/** Compiles answer formats to token masks. */
export interface GrammarCompiler {
  /** Throws `input.schema` naming what is wrong with the schema. */
  compile(format: Exclude<AnswerFormat, { type: 'text' }>): Promise<Grammar>;
}

export interface Grammar {
  /** Sets the logits of every token that cannot come next to -Infinity. @throws `input.schema` when none can */
  mask(logits: Float32Array): Promise<void>;
  /** Feeds the token that was chosen. Throws `bug.invariant` for one the mask excludes. */
  accept(id: number): void;
  /** The text so far is complete and only a stop token may follow. */
  isComplete(): Promise<boolean>;
  close(): void;
}

/** Logits → token. Deterministic in (seed, calls so far, logits). */
export interface Sampler {
  sample(logits: Float32Array): number;
}
