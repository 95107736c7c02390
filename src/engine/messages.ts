import type { SerializedError } from '../base/errors.ts';

/** Typed messages between the engine client (worker) and the engine host (own process). Absent is `null`, never missing. */

export type ChatRole = 'system' | 'user' | 'assistant' | 'tool';

export interface ToolCall {
  /** `functions.<name>:<idx>` */
  readonly id: string;
  /** JSON text, kept as the model wrote it. */
  readonly arguments: string;
}

export interface ChatMessage {
  readonly role: ChatRole;
  readonly content: string;
  /** Header name in place of the role; for tool messages usually null. */
  readonly name: string | null;
  readonly reasoning: string | null;
  readonly toolCalls: readonly ToolCall[] | null;
  readonly toolCallId: string | null;
}

export type AnswerFormat =
  | { readonly type: 'text' }
  /** Any JSON object. */
  | { readonly type: 'json' }
  | { readonly type: 'json-schema'; readonly schema: Readonly<Record<string, unknown>> };

/** `none` is said by declaring no tools. */
export type ToolChoice =
  | { readonly type: 'auto' }
  /** At least one call, of any tool. */
  | { readonly type: 'required' }
  | { readonly type: 'function'; readonly name: string };

/** How the next token is drawn. The neutral value of each field changes nothing. */
export interface SamplingOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** In (0, 1]: the smallest set of most likely tokens that holds this much probability. */
  readonly topP: number;
  /** Only so many of the likeliest tokens; 0: all. */
  readonly topK: number;
  /** In [0, 1): least probability, as a share of the likeliest token's; 0: any. */
  readonly minP: number;
  /** Subtracted once from the logit of each token the answer has already. */
  readonly presencePenalty: number;
  /** Subtracted as often as the answer has the token. */
  readonly frequencyPenalty: number;
  /** Divides positive and multiplies negative logits of tokens that prompt or answer have; 1: none. */
  readonly repetitionPenalty: number;
  /** Added to logits, by token id; null: none. */
  readonly logitBias: readonly (readonly [id: number, bias: number])[] | null;
  readonly seed: number;
}

export interface GenerateRequest {
  readonly id: string;
  /** Whose text it is: pages are never shared between tenants. */
  readonly tenant: string;
  readonly messages: readonly ChatMessage[];
  /** OpenAI tool declarations, or null. */
  readonly tools: readonly Readonly<Record<string, unknown>>[] | null;
  /**
   * JSON schemas by the name of a tool: what its arguments are held to while they are written, where more is known than
   * its declaration says, which is the same for all documents; null: as declared.
   */
  readonly argumentSchemas: Readonly<Record<string, Readonly<Record<string, unknown>>>> | null;
  readonly toolChoice: ToolChoice;
  /** May one answer hold several calls? */
  readonly parallelToolCalls: boolean;
  /** How many leading messages other requests share: they end the prefix that is read once for all. */
  readonly sharedMessages: number;
  /**
   * Most tokens to produce, reasoning included; null: as many as there is room for, up to the window, or up to the memory
   * for latents where that holds less: the one thing in an answer that a larger machine may change. A number is kept
   * everywhere, or the request refused.
   */
  readonly maxTokens: number | null;
  readonly sampling: SamplingOptions;
  /** Report the log-probability of each token of the content, with so many alternatives (0 to 20); null: none. */
  readonly logprobs: number | null;
  readonly stop: readonly string[];
  /** Most tokens of reasoning before the engine closes it; 0 forbids reasoning, null leaves it to the model. */
  readonly thinkingBudget: number | null;
  readonly format: AnswerFormat;
  /** Served before all requests of a higher number. */
  readonly priority: number;
  /** Unix time by which the answer is wanted: the earlier first among equals; null: any time. */
  readonly deadlineMs: number | null;
  /** Send `generate-delta` messages while it is answered. */
  readonly stream: boolean;
  /** Send a checkpoint after so many tokens or so much time, whichever is first; null: only when asked. */
  readonly checkpointEvery: { readonly tokens: number; readonly ms: number } | null;
  /** Go on where an earlier try stood; null: from the start. */
  readonly resume: GenerateCheckpoint | null;
}

export interface GeneratedToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text as the model wrote it. */
  readonly arguments: string;
}

/** A token by its text; `bytes` because a token may hold part of a character. */
export interface TokenChance {
  readonly id: number;
  readonly bytes: readonly number[];
  /** Natural logarithm of the model's own probability, before temperature, penalties and masks. */
  readonly logprob: number;
}

export interface TokenLogprob extends TokenChance {
  /** The likeliest tokens at this place, best first. */
  readonly top: readonly TokenChance[];
}

/** Everything that a request needs to go on elsewhere: what was written; the rest follows from it and the request. */
export interface GenerateCheckpoint {
  readonly version: 1;
  /** Of the engine that wrote it: equal engines go on with equal bits. */
  readonly engineDigest: string;
  /** sha256 over the prompt's token ids; a checkpoint of another prompt is refused. */
  readonly promptDigest: string;
  /** The token log: every completion token so far, forced ones included. */
  readonly tokenIds: readonly number[];
  /** Random numbers drawn so far: the whole state of the sampler. */
  readonly draws: number;
  readonly logprobs: readonly TokenLogprob[] | null;
  /** Tokens were put in the place of others so that the answer's form ends within its tokens. Older checkpoints leave it out. */
  readonly isLed?: boolean;
  /** What the bill says of the prompt, which no interruption changes. */
  readonly cachedTokens: number;
  readonly cacheMiss: CacheMiss;
  /** Names of the full pages of prompt and answer, in order. Those still in a tier are read, the others computed again. */
  readonly pages: readonly string[];
}

/** Why not all of the shared prefix was there already; null: it was. */
export type CacheMiss = 'first_of_group' | 'below_minimum' | 'evicted' | null;

export interface GenerateResult {
  readonly reasoning: string;
  readonly content: string;
  readonly toolCalls: readonly GeneratedToolCall[];
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  /** Of the tokens of `content`, in order; null when not asked for. */
  readonly logprobs: readonly TokenLogprob[] | null;
  /** What of the caller's schema the finished answer breaks, where decoding does not enforce it; null: nothing. */
  readonly schemaError: string | null;
  readonly promptTokens: number;
  /** Prompt tokens whose latents were there already when this request was first admitted. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  /** Completion tokens taken from a checkpoint; 0: it ran from its start. */
  readonly resumedTokens: number;
  /** `exact`: same engine, so the same bits as without the interruption; `tokens`: nothing lost, bits may differ. */
  readonly resumed: 'exact' | 'tokens' | null;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly queueMs: number;
  readonly cacheMiss: CacheMiss;
}

export interface GenerateProgress {
  readonly phase: 'wait' | 'prefill' | 'think' | 'answer';
  readonly promptTokens: number;
  readonly prefilledTokens: number;
  readonly completionTokens: number;
}

/** What an answer gained since the last delta; the first one of a resumed request holds all that was written before. */
export interface GenerateDelta {
  readonly reasoning: string;
  readonly content: string;
  readonly toolCalls: readonly ToolCallDelta[];
  readonly logprobs: readonly TokenLogprob[] | null;
  /** Completion tokens with this delta: a receiver that has more already drops it. */
  readonly completionTokens: number;
}

/** A call begins with a delta that has id and name; the arguments' text follows in pieces. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id: string | null;
  readonly name: string | null;
  readonly arguments: string;
}

export interface EmbedRequest {
  readonly id: string;
  /** Texts, or token ids of the model's own tokenizer. */
  readonly inputs: readonly (string | readonly number[])[];
  readonly priority: number;
  readonly deadlineMs: number | null;
}

export interface EmbedResult {
  /** One an input: base64 of `hidden width` little-endian float32, mean of the final hidden states, of length 1. */
  readonly vectors: readonly string[];
  readonly width: number;
  readonly promptTokens: number;
}

/** A page file that other workers may want as well: whoever hears of it may copy it, and nobody waits for that. */
export interface SavedPage {
  readonly tenant: string;
  /** `ModelRunner.digest` of the engine whose page it is. */
  readonly digest: string;
  readonly name: string;
  /** Where it lies now; it may be gone any time. */
  readonly path: string;
  readonly bytes: number;
  /** A stored copy is damaged and is to be replaced; otherwise one that is there stays. */
  readonly replaces: boolean;
}

/** A page that this process lacks and would rather read than compute. */
export interface WantedPage {
  readonly tenant: string;
  readonly digest: string;
  readonly name: string;
  /** Where its file is to be written before `page-arrived` says so; never the same twice. */
  readonly path: string;
}

/** Whether pages of the object store are read rather than computed, and the figures that decide it. */
export interface RestoreStats {
  /** Of downloads in the last minute, all at once; null: none. */
  readonly bytesPerSecond: number | null;
  /** Of the prefixes computed so far; null: none. */
  readonly prefillTokensPerSecond: number | null;
  /** Pages computed without asking the store, because computing was faster. */
  readonly declined: number;
}

/** Of one tier of pages. */
export interface TierStats {
  readonly pages: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  /** Pages looked for and found, looked for and not found, written, dropped to make room, dropped as damaged. */
  readonly hits: number;
  readonly misses: number;
  readonly writes: number;
  readonly evictions: number;
  readonly corrupt: number;
}

/** Counters grow from the start of the engine process; the rest is as of now. */
export interface EngineStats {
  readonly waiting: number;
  readonly running: number;
  /** Memory for latents, in blocks of 256 rows: free + cached + held = total. */
  readonly blocks: {
    readonly total: number;
    readonly free: number;
    readonly cached: number;
    readonly held: number;
    readonly blockBytes: number;
  };
  readonly tiers: { readonly memory: TierStats; readonly disk: TierStats | null; readonly remote: TierStats | null };
  /** Null: there is no object store behind the disk. */
  readonly restore: RestoreStats | null;
  readonly prefillTokens: number;
  readonly cachedTokens: number;
  readonly decodeTokens: number;
  /** Tokens guessed ahead and computed; and of them those that came true, which are decode tokens too. */
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
  readonly runs: number;
  /** Milliseconds inside and outside `session.run` while there was work. */
  readonly runMs: number;
  readonly overheadMs: number;
  readonly preemptions: number;
  readonly cancellations: number;
  readonly checkpoints: number;
}

/** What a model folder is, as `/v1/models`, `quire model info` and result notices show it. */
export interface ModelCard {
  readonly id: string;
  readonly architecture: string;
  /** Largest prompt plus answer, in tokens. */
  readonly contextTokens: number;
  readonly vocabularySize: number;
  readonly layers: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly parameters: number;
  readonly activeParameters: number;
  readonly weights: 'trained' | 'random';
  /** Shown wherever the model's text is shown; null when there is nothing to say. */
  readonly notice: string | null;
  /** With tools, longer documents are shown as outlines and searched: what a small model reads well. Null: its window decides. */
  readonly wholeDocumentTokens: number | null;
  /** Most headings of a document that an outline shows. Null: as many as the product shows any model. */
  readonly outlineLines: number | null;
  /**
   * Without tools, documents stand behind the question: a small model finds what it reads with the question in mind. The
   * questions of a document then share no pages of it.
   */
  readonly questionFirst: boolean;
  /** Values of a final hidden state, and so of an embedding. */
  readonly hiddenWidth: number;
  /** sha256 over config, tokenizer and tensor headers; once the weights are read, over them too. */
  readonly digest: string;
}

export type ClientMessage =
  | { readonly type: 'generate-start'; readonly request: GenerateRequest }
  | { readonly type: 'embed-start'; readonly request: EmbedRequest }
  /** Of either kind. */
  | { readonly type: 'cancel'; readonly id: string }
  /** Answered by `generate-checkpoint`, unless the request has just ended. */
  | { readonly type: 'checkpoint'; readonly id: string }
  /** Answers one `page-wanted`, named by its path: the file lies there, or there is no such page to be had. */
  | {
      readonly type: 'page-arrived';
      readonly path: string;
      readonly found: boolean;
      /** Of downloads lately, all at once; null: not known. */
      readonly bytesPerSecond: number | null;
    };

export type HostMessage =
  | { readonly type: 'engine-ready'; readonly card: ModelCard; readonly loadMs: number }
  | { readonly type: 'engine-failed'; readonly error: SerializedError }
  /** At most one a second, when something changed. */
  | { readonly type: 'engine-stats'; readonly stats: EngineStats }
  /** Requests in the run that starts now: the suspects if the process does not live to send the next message. */
  | { readonly type: 'run-start'; readonly ids: readonly string[] }
  | { readonly type: 'page-saved'; readonly page: SavedPage }
  /** Answered by `page-arrived`, always. */
  | { readonly type: 'page-wanted'; readonly page: WantedPage }
  | { readonly type: 'generate-progress'; readonly id: string; readonly progress: GenerateProgress }
  | { readonly type: 'generate-delta'; readonly id: string; readonly delta: GenerateDelta }
  | { readonly type: 'generate-checkpoint'; readonly id: string; readonly checkpoint: GenerateCheckpoint }
  | { readonly type: 'generate-end'; readonly id: string; readonly result: GenerateResult }
  | { readonly type: 'embed-end'; readonly id: string; readonly result: EmbedResult }
  | { readonly type: 'request-failed'; readonly id: string; readonly error: SerializedError };
