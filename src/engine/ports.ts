import type {
  AnswerFormat,
  EmbedRequest,
  EmbedResult,
  EngineStats,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
  TierStats,
} from './messages.ts';

/** Rows of a latent block, of a prefix-cache page, of a stored file: one number everywhere. */
export const blockRows = 256;

/** One float32 array a layer, of rows `latentWidth` wide. */
export type LatentLayers = readonly Float32Array[];

/** One layer of rows in INT8, `blocks` of 256, as rows of answers read them. */
export interface RoundedLayer {
  /** `[blocks, latentWidth, 256]` */
  readonly keys: Int8Array;
  /** `[blocks, 256]`: what a key's whole numbers are multiples of. */
  readonly keySteps: Float32Array;
  /** `[blocks, 256, valueWidth]` */
  readonly values: Int8Array;
  /** `[blocks]`: the same of a block's values, times that of shares of attention. */
  readonly valueSteps: Float32Array;
}

/** Whole blocks of sequences' own rows in INT8. */
export interface OwnBlocks {
  /** Those of all sequences, in any order; others may be among them. */
  readonly layers: readonly RoundedLayer[];
  /** Of each sequence, its first blocks in the order of their rows: which of them they are. */
  readonly places: readonly (readonly number[])[];
}

/** New rows [start, start + tokenIds.length) of one sequence. */
export interface StepSequence {
  readonly tokenIds: ArrayLike<number>;
  readonly start: number;
  /** Logits and final hidden states are wanted of so many of its last new rows: 0 to all of them. */
  readonly wanted: number;
}

/**
 * One run over new rows of sequences that share a prefix. Sequence n's earlier rows are `prefix[0, prefixRows)`
 * followed by rows [0, start - prefixRows) of its own part. Nothing is copied; the caller stores the new rows itself.
 */
export interface StepInput {
  /** At least one; shorter ones are padded to the longest, so `suffixRows` must have room for that many new rows of each. */
  readonly sequences: readonly StepSequence[];
  /** `[prefixRows or more, latentWidth]` */
  readonly prefix: LatentLayers;
  /** A multiple of `blockRows`, possibly 0. */
  readonly prefixRows: number;
  /** The prefix arrays will never hold anything else: a runner may keep a copy elsewhere for as long as they live. */
  readonly isPrefixFinal?: boolean;
  /**
   * The whole prefix in INT8, where the runner has `rounding`: rows of answers read it in place of `prefix`, and get
   * other bits. Left out or null: they read `prefix`, and then no own blocks in INT8.
   */
  readonly rounded?: readonly RoundedLayer[] | null;
  /**
   * Own blocks that rows of answers read in INT8 in place of `suffix`, where the runner has `rounding`. For equal bits
   * whatever the schedule, of each sequence all blocks before the one its new rows are in, and all that are wanted in
   * that block. Left out or null: they read `suffix`.
   */
  readonly ownBlocks?: OwnBlocks | null;
  /** `[sequences or more, suffixRows, latentWidth]`, or with `suffixBlocks` `[blocks, 256, latentWidth]` */
  readonly suffix: LatentLayers;
  /** Own rows of a sequence at most, new ones included. A multiple of the runner's `rowStep`, at least one. */
  readonly suffixRows: number;
  /** Of each sequence, blocks of `suffix` with the rows it has, in their order. Left out: they lie side by side. */
  readonly suffixBlocks?: readonly (readonly number[])[];
  /** Rows of whole blocks of a prompt: computed in a form of their own where `ModelRunner.promptStep` is not null. */
  readonly isPrompt?: boolean;
  /** Without the head, `logits` stays empty and `hidden` is all there is. */
  readonly head: boolean;
}

export interface StepOutput {
  /** `[rows wanted of all, vocabularySize]`: in the order of the sequences, and of the rows of each. */
  readonly logits: Float32Array;
  /** `[rows wanted of all, hiddenWidth]`, behind the final norm. */
  readonly hidden: Float32Array;
  /** `[layers, sequences, longest, latentWidth]`: post-norm latent and post-RoPE key of each new row. */
  readonly latents: Float32Array;
}

export interface LatentRounding {
  /** Of 256 rows of all layers. */
  readonly blockBytes: number;
  /** @param latents at least `rows` rows, whole blocks: they will not change any more */
  round(latents: LatentLayers, rows: number): Promise<readonly RoundedLayer[]>;
}

export interface ModelRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly hiddenWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  /** A step's own part has a multiple of so many rows. */
  readonly rowStep: number;
  /** A run of so many rows of one sequence takes less time a row than a shorter one; null: no such number. */
  readonly bulkTokens: number | null;
  /**
   * Not null: rows of a prompt's whole blocks have other bits than rows of the same tokens elsewhere. They are computed
   * as `isPrompt`, so many of one sequence at a time or a multiple of that.
   */
  readonly promptStep: number | null;
  /** Whole blocks are read in INT8 where they are given so; null: never. */
  readonly rounding: LatentRounding | null;
  /** sha256 over what decides the bits of a row: weights, graph form, precision, provider, runtime version, CPU features. */
  readonly digest: string;
  /** Milliseconds spent inside the runtime so far. */
  readonly runMs: number;
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

/** Compiles answer formats to token masks; keeps compiled ones. */
export interface GrammarCompiler {
  /**
   * Throws `input.schema` naming what is wrong with the schema.
   * @param endIds tokens that may follow the complete text; left out: those that end an answer
   */
  compile(format: Exclude<AnswerFormat, { type: 'text' }>, endIds?: readonly number[]): Grammar;
}

export interface Grammar {
  /** Sets the logits of every token that cannot come next to -Infinity. @throws `input.schema` when none can */
  mask(logits: Float32Array): void;
  /**
   * The token, where the text can still end within so many tokens, this one counted, or could not have before; else the
   * next one on the shortest way to its end.
   */
  fit(id: number, tokens: number): number;
  /** Tokens of the shortest end of the text; null: the tokenizer cannot write it. */
  leastTokens(): number | null;
  /** Feeds the token that was chosen. Throws `bug.invariant` for one the mask excludes. */
  accept(id: number): void;
  /** The text so far is complete and only a stop token may follow. */
  isComplete(): boolean;
}

/** Logits → token. Deterministic in (options, numbers drawn so far, tokens so far, logits). */
export interface Sampler {
  sample(logits: Float32Array): number;
}

/** Latents of 256 consecutive tokens, all layers: `[layers, 256, latentWidth]`. Never changed once it has its name. */
export type PageLatents = Float32Array;

/**
 * Keeps pages beyond memory, by name. A tier never throws for what it holds: a page that cannot be read whole and
 * true is dropped and reported as absent.
 */
export interface PageTier {
  /** Cheap: no page is read. */
  has(name: string): boolean;
  load(name: string): Promise<PageLatents | undefined>;
  /** Resolves when the page is kept or was given up; the caller's array may be reused afterwards. */
  save(name: string, latents: PageLatents): Promise<void>;
  stats(): TierStats;
  close(): Promise<void>;
}

/** What the host's half of the protocol needs of an engine. */
export interface EngineService {
  /** @throws what is wrong with the request, and `cancelled.by-user` after `cancel` */
  generate(request: GenerateRequest, listener: GenerateListener): Promise<GenerateResult>;
  embed(request: EmbedRequest): Promise<EmbedResult>;
  /** Of either kind; unknown ids are ignored, since the request may just have ended. */
  cancel(id: string): void;
  /** Answered through `onCheckpoint` of the request, unless it has just ended. */
  checkpoint(id: string): void;
  stats(): EngineStats;
  /** `listener` is called before a run when the set of requests in it differs from that of the run before. */
  onRun(listener: (ids: readonly string[]) => void): void;
}

export interface GenerateListener {
  onProgress(progress: GenerateProgress): void;
  onDelta(delta: GenerateDelta): void;
  onCheckpoint(checkpoint: GenerateCheckpoint): void;
}
