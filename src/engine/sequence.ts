import { AppError } from '../base/errors.ts';
import type { AnswerState } from './answer-state.ts';
import type { EncodedRequest } from './encode-request.ts';
import type { GuardedListener } from './guarded-listener.ts';
import type { OwnRows } from './kv/own-rows.ts';
import type { PageChain } from './kv/page-name.ts';
import type { PrefixWindow } from './kv/prefix-window.ts';
import type { CacheMiss, GenerateCheckpoint, GenerateRequest, GenerateResult } from './messages.ts';
import { blockRows } from './ports.ts';
import type { Waiting } from './schedule/wait-queue.ts';

/** What a sequence is made of once its request is understood. */
export interface SequenceParts {
  readonly request: GenerateRequest;
  readonly listener: GuardedListener;
  readonly encoded: EncodedRequest;
  readonly answer: AnswerState;
  /** Rows before this one have the form of prompts (`ModelRunner.promptStep`); 0: there is none. */
  readonly promptFormRows: number;
  readonly chain: PageChain;
  /** Of the engine it runs in. */
  readonly engineDigest: string;
  /** Place in the order of arrival, kept when it is preempted. */
  readonly arrival: number;
  readonly prefixKey: string;
  readonly enqueuedMs: number;
}

/** Where a sequence reads and writes its rows while it runs. */
export interface Residence {
  readonly window: PrefixWindow;
  readonly own: OwnRows<Sequence>;
  /** All of its prompt is computed. */
  isDecoding: boolean;
  /** Pages of its own are being read from a tier below memory. */
  isLoading: boolean;
}

/**
 * A request in the engine: its tokens, and how far their rows are computed.
 *
 * | rows                            | where                                     |
 * |---------------------------------|-------------------------------------------|
 * | [0, splitRows)                  | the window, shared                        |
 * | [splitRows, rows)               | blocks of its own                         |
 * | [rows, tokens.length)           | not computed: what is pending             |
 *
 * Q1 While it has not ended something is pending: the last token is never computed before it is needed.
 * Q2 A sequence that lost its rows (preempted, restored) differs from one that never did only in `rows`.
 */
export class Sequence implements Waiting {
  readonly request: GenerateRequest;
  readonly listener: GuardedListener;
  readonly encoded: EncodedRequest;
  readonly answer: AnswerState;
  readonly arrival: number;
  readonly prefixKey: string;
  readonly enqueuedMs: number;
  /** Prompt and answer. */
  readonly tokens: number[];
  readonly promptFormRows: number;
  readonly #chain: PageChain;
  rows: number;
  /** Null while it waits. */
  residence: Residence | null = null;
  isCancelled = false;
  admittedMs: number | null = null;
  firstTokenMs: number | null = null;
  readonly resumedTokens: number = 0;
  readonly resumed: GenerateResult['resumed'] = null;
  #bill: { readonly cachedTokens: number; readonly cacheMiss: CacheMiss } | null = null;
  #opensWindow = false;
  #wasSeen = false;
  #savedTokens = 0;
  #savedMs: number;

  constructor(parts: SequenceParts) {
    this.request = parts.request;
    this.listener = parts.listener;
    this.encoded = parts.encoded;
    this.answer = parts.answer;
    this.arrival = parts.arrival;
    this.prefixKey = parts.prefixKey;
    this.enqueuedMs = parts.enqueuedMs;
    this.promptFormRows = parts.promptFormRows;
    this.#chain = parts.chain;
    this.#savedMs = parts.enqueuedMs;
    this.tokens = [...parts.encoded.ids];
    for (const id of this.tokens) this.#chain.push(id);
    this.append(parts.answer.tokenIds);
    this.append(parts.answer.takeForced());
    this.#savedTokens = parts.answer.completionTokens;
    this.rows = parts.encoded.splitRows;
    const { resume } = parts.request;
    if (resume === null) return;
    this.resumedTokens = resume.tokenIds.length;
    this.resumed = resume.engineDigest === parts.engineDigest ? 'exact' : 'tokens';
    this.#bill = { cachedTokens: resume.cachedTokens, cacheMiss: resume.cacheMiss };
  }

  get priority(): number {
    return this.request.priority;
  }

  get deadlineMs(): number | null {
    return this.request.deadlineMs;
  }

  get tenant(): string {
    return this.request.tenant;
  }

  get promptTokens(): number {
    return this.encoded.ids.length;
  }

  get pendingTotal(): number {
    return this.tokens.length - this.rows;
  }

  /** Pending rows that have the form of prompts: they are computed by themselves. */
  get pendingPromptRows(): number {
    return Math.max(0, this.promptFormRows - this.rows);
  }

  /** Own rows once everything pending is computed. */
  get ownRows(): number {
    return this.tokens.length - this.encoded.splitRows;
  }

  /** Names of the full blocks of all tokens. */
  get pageNames(): readonly string[] {
    return this.#chain.names;
  }

  /** Names of the shared prefix's pages. */
  get prefixNames(): readonly string[] {
    return this.#chain.names.slice(0, this.encoded.splitRows / blockRows);
  }

  append(ids: readonly number[]): void {
    for (const id of ids) {
      this.tokens.push(id);
      this.#chain.push(id);
    }
  }

  /** @param opensWindow false: another request reads the prefix for it. @param wasSeen its prefix was here before */
  noteAdmission(opensWindow: boolean, wasSeen: boolean): void {
    if (this.#bill !== null) return;
    this.#opensWindow = opensWindow;
    this.#wasSeen = wasSeen;
  }

  /** Before the first run of its own rows: what was there already. Later losses and reuses change no bill. */
  settleBill(): number {
    const { residence } = this;
    if (this.#bill !== null || residence === null) return 0;
    const shared = this.#opensWindow ? residence.window.cachedRows : residence.window.rows;
    const own = this.rows - residence.window.rows;
    const cachedTokens = Math.min(shared + own, this.promptTokens);
    this.#bill = { cachedTokens, cacheMiss: this.#missOf(shared) };
    return cachedTokens;
  }

  #missOf(sharedRows: number): CacheMiss {
    const { splitRows } = this.encoded;
    if (splitRows === 0) return 'below_minimum';
    if (sharedRows >= splitRows) return null;
    return this.#wasSeen ? 'evicted' : 'first_of_group';
  }

  /** Is a checkpoint due by the request's own interval? */
  isSaveDue(nowMs: number): boolean {
    const every = this.request.checkpointEvery;
    if (every === null || this.answer.completionTokens === this.#savedTokens) return false;
    return this.answer.completionTokens - this.#savedTokens >= every.tokens || nowMs - this.#savedMs >= every.ms;
  }

  save(engineDigest: string, nowMs: number): GenerateCheckpoint {
    this.#savedTokens = this.answer.completionTokens;
    this.#savedMs = nowMs;
    return {
      version: 1,
      engineDigest,
      promptDigest: this.encoded.digest,
      ...this.answer.save(),
      ...this.#billed(),
      pages: this.pageNames.slice(0, Math.floor(this.rows / blockRows)),
    };
  }

  result(nowMs: number): GenerateResult {
    const admittedMs = this.admittedMs ?? nowMs;
    const firstMs = this.firstTokenMs ?? nowMs;
    return {
      ...this.answer.result(),
      promptTokens: this.promptTokens,
      ...this.#billed(),
      resumedTokens: this.resumedTokens,
      resumed: this.resumed,
      queueMs: admittedMs - this.enqueuedMs,
      prefillMs: firstMs - admittedMs,
      decodeMs: nowMs - firstMs,
    };
  }

  #billed(): { readonly cachedTokens: number; readonly cacheMiss: CacheMiss } {
    return this.#bill ?? { cachedTokens: 0, cacheMiss: this.#missOf(0) };
  }
}

/** Puts an answer back where a checkpoint left it. @throws `corrupt.version`, `corrupt.record` */
export function restoreAnswer(answer: AnswerState, checkpoint: GenerateCheckpoint, encoded: EncodedRequest): void {
  if (checkpoint.version !== 1) {
    const what = `checkpoint has version ${String(checkpoint.version)}, allowed: 1`;
    throw new AppError('corrupt.version', what);
  }
  if (checkpoint.promptDigest !== encoded.digest) {
    throw new AppError('corrupt.record', 'checkpoint belongs to another prompt: its digest differs');
  }
  answer.restore(checkpoint);
}
