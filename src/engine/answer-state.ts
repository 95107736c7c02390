import { AppError, isAppError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import { AnswerText } from './answer/answer-text.ts';
import { findSchemaError } from './answer/find-schema-error.ts';
import { planTools, type ToolPlan } from './answer/tool-plan.ts';
import { ToolSection } from './answer/tool-section.ts';
import type { GenerateCheckpoint, GenerateDelta, GenerateRequest, GenerateResult, TokenLogprob } from './messages.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from './ports.ts';
import { maxTopLogprobs, StepLogprobs } from './sample/logprobs.ts';
import { type CountingSampler, openSampler } from './sample/sampler.ts';
import type { SpecialTokens } from './special-tokens.ts';

export interface AnswerDeps {
  readonly tokenizer: Tokenizer;
  readonly special: SpecialTokens;
  readonly grammars: GrammarCompiler;
}

/** Of a prompt, what its answer depends on. */
export interface AnswerPrompt {
  readonly ids: readonly number[];
  /** Most tokens of the answer. */
  readonly maxTokens: number;
}

export type SavedAnswer = Pick<GenerateCheckpoint, 'tokenIds' | 'draws' | 'logprobs' | 'isLed'>;

export type AnswerResult = Pick<
  GenerateResult,
  | 'reasoning'
  | 'content'
  | 'toolCalls'
  | 'finishReason'
  | 'completionTokens'
  | 'reasoningTokens'
  | 'logprobs'
  | 'schemaError'
>;

/**
 * Compiles the grammars that the request needs.
 * @throws `input.schema`, `input.invalid-request`, `input.unsupported`
 */
export function openAnswer(deps: AnswerDeps, request: GenerateRequest, prompt: AnswerPrompt): AnswerState {
  const { grammars, special } = deps;
  checkRequest(request);
  const grammar = request.format.type === 'text' ? null : grammars.compile(request.format);
  return new AnswerState(deps, request, prompt, grammar, planTools(request, special, grammars));
}

function checkRequest({ logprobs, stop }: GenerateRequest): void {
  const refuse = (param: string, message: string): never => {
    throw new AppError('input.invalid-request', message, { param });
  };
  const isTotal = logprobs === null || (Number.isSafeInteger(logprobs) && logprobs >= 0 && logprobs <= maxTopLogprobs);
  if (!isTotal)
    refuse('top_logprobs', `top_logprobs is ${logprobs}, allowed: a whole number from 0 to ${maxTopLogprobs}`);
  if (stop.includes('')) refuse('stop', 'stop has an empty text, allowed: texts of at least one character');
}

/**
 * The tokens of one answer and where in it we are: reasoning, then text or JSON, or a section of tool calls.
 *
 * A1. Outside text nothing without text is ever sampled but what the phase allows (end of thought, stop, tool markers).
 * A2. The grammar sees exactly the tokens of the answer phase.
 * A3. `takeForced` tokens count as completion tokens, as if the model had written them.
 * A4. The state follows from the request and the token log, and from whether the answer was led to its end; with the
 *     numbers drawn, so does everything after it.
 * A5. What can follow is decided by the state before a token; a token that is forced is never sampled.
 * A6. An answer with a form ends whole where its tokens are enough for one: a token behind which they would not be is
 *     replaced by the next on the shortest way to the end, and the answer's end counts as one by `length`.
 */
export class AnswerState {
  readonly #deps: AnswerDeps;
  readonly #request: GenerateRequest;
  readonly #prompt: AnswerPrompt;
  readonly #grammar: Grammar | null;
  /** Of the answer's form; null: it has none. */
  readonly #leastTokens: number | null;
  readonly #plan: ToolPlan | null;
  readonly #text: AnswerText;
  readonly #stepLogprobs: StepLogprobs | null;
  readonly #log: number[] = [];
  #sampler: CountingSampler;
  #phase: 'think' | 'answer' | 'tools';
  #section: ToolSection | null = null;
  #thinkTokens = 0;
  #contentTokens = 0;
  #isLed = false;
  #ending: GenerateResult['finishReason'] | null = null;

  constructor(
    deps: AnswerDeps,
    request: GenerateRequest,
    prompt: AnswerPrompt,
    grammar: Grammar | null,
    plan: ToolPlan | null,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#prompt = prompt;
    this.#grammar = grammar;
    this.#leastTokens = grammar?.leastTokens() ?? null;
    this.#plan = plan;
    this.#text = new AnswerText(deps.tokenizer, request.stop, request.logprobs !== null);
    this.#stepLogprobs = request.logprobs === null ? null : new StepLogprobs(request.logprobs);
    this.#sampler = this.#openSampler(0);
    this.#phase = deps.special.thinkStart === null ? 'answer' : 'think';
    if (prompt.maxTokens < 1) this.#ending = 'length';
  }

  get phase(): 'think' | 'answer' | 'tools' {
    return this.#phase;
  }

  get ended(): boolean {
    return this.#ending !== null;
  }

  get completionTokens(): number {
    return this.#log.length;
  }

  /** So many more at the most. */
  get remainingTokens(): number {
    return this.ended ? 0 : this.#prompt.maxTokens - this.#log.length;
  }

  /** The token log, forced tokens included. */
  get tokenIds(): readonly number[] {
    return this.#log;
  }

  /**
   * Tokens that follow without asking the model: the opening of thought, its end when the budget is spent, and of tool
   * calls whatever leaves no choice. They may end the answer.
   */
  takeForced(): number[] {
    const forced: number[] = [];
    for (let id = this.#forced(); id !== null; id = this.#forced()) {
      this.#take(id, null);
      forced.push(id);
    }
    return forced;
  }

  /**
   * Samples the next token; `takeForced` comes first, whenever there is something to take.
   * @param logits are overwritten
   * @returns null when the answer has ended
   * @throws `input.schema` when no token can go on under the caller's schema
   */
  next(logits: Float32Array): number | null {
    if (this.ended) return null;
    invariant(this.#forced() === null, 'a token was sampled where one is forced');
    const hasLogprob = this.#stepLogprobs !== null && this.#phase === 'answer';
    if (hasLogprob) this.#stepLogprobs.capture(logits);
    this.#mask(logits);
    const id = this.#fit(this.#sampler.sample(logits));
    this.#take(id, hasLogprob && this.#isContent(id) ? this.#readLogprob(this.#stepLogprobs, id) : null);
    return id;
  }

  /** What reasoning, content and tool calls gained since the last call, or since the start; null when nothing. */
  takeDelta(): GenerateDelta | null {
    return this.#text.takeDelta(this.#log.length);
  }

  save(): SavedAnswer {
    const logprobs = this.#text.logprobs;
    return {
      tokenIds: [...this.#log],
      draws: this.#sampler.draws,
      logprobs: logprobs === null ? null : [...logprobs],
      isLed: this.#isLed,
    };
  }

  /**
   * Replays a token log into a fresh state; afterwards it is as if it had never stopped, and nothing had been taken as
   * a delta yet: the next one begins at the start.
   * @throws `corrupt.record` when the log does not fit the request
   */
  restore({ tokenIds, draws, logprobs, isLed = false }: SavedAnswer): void {
    invariant(this.#log.length === 0, 'an answer was restored that has begun already');
    this.#isLed = isLed;
    this.#sampler = this.#openSampler(draws);
    let sampled = 0;
    for (const [index, id] of tokenIds.entries()) {
      const forced = this.#forced();
      if (forced === null) sampled++;
      const fits = forced === null ? this.#canFollow(id) : id === forced;
      if (!fits) throw unfit(`token ${index} of the log is ${id}, which cannot stand there`);
      const hasLogprob = logprobs !== null && forced === null && this.#isContent(id);
      this.#replay(index, id, hasLogprob ? findLogprob(logprobs, this.#contentTokens, id) : null);
    }
    const expected = this.#request.sampling.temperature === 0 ? 0 : sampled;
    if (draws !== expected) throw unfit(`${draws} numbers were drawn for a log that takes ${expected}`);
    const entries = logprobs?.length ?? null;
    if (entries !== (this.#stepLogprobs === null ? null : this.#contentTokens)) {
      throw unfit(`log-probabilities are of ${entries ?? 'no'} tokens, the content has ${this.#contentTokens}`);
    }
  }

  result(): AnswerResult {
    const { reasoning, content, toolCalls, keptLogprobs } = this.#text;
    const finishReason = this.#ending ?? 'length';
    const isWhole = this.#grammar?.isComplete() === true;
    const answer = { content, toolCalls, finishReason, hasSection: this.#section !== null, isWhole };
    return {
      reasoning,
      content,
      toolCalls,
      finishReason,
      completionTokens: this.#log.length,
      reasoningTokens: this.#thinkTokens,
      logprobs: keptLogprobs,
      schemaError: findSchemaError(answer, this.#request.format, this.#plan),
    };
  }

  /** The only token that can follow, when it is the engine that knows. */
  #forced(): number | null {
    if (this.ended) return null;
    if (this.#section !== null) return this.#section.forced();
    if (this.#phase === 'answer') return this.#plan?.isRequired === true ? this.#plan.markers.sectionStart : null;
    const { thinkStart, thinkEnd } = this.#deps.special;
    if (this.#log.length === 0) return thinkStart;
    return this.#isThoughtSpent() || this.#isThoughtInTheWay() ? thinkEnd : null;
  }

  #isThoughtSpent(): boolean {
    const budget = this.#request.thinkingBudget;
    return budget !== null && this.#thinkTokens >= budget;
  }

  /** No more tokens are left than the answer's form takes at the least. */
  #isThoughtInTheWay(): boolean {
    const least = this.#leastTokens;
    return least !== null && this.remainingTokens === least + 1;
  }

  /** Tokens without text that the phase allows, outside of grammars. */
  #listControls(): readonly number[] {
    const { thinkEnd, stopIds } = this.#deps.special;
    const hasForm = this.#grammar !== null || this.#plan?.isRequired === true;
    const controls: number[] = [];
    if (this.#phase === 'think' && thinkEnd !== null) controls.push(thinkEnd);
    // a thought must close before an answer that has a form; otherwise the model may stop anywhere
    if (!hasForm || (this.#phase === 'answer' && this.#grammar === null)) controls.push(...stopIds);
    // an answer that has a form is one or the other from its first token on
    const isOpen = this.#phase === 'think' || this.#grammar === null || this.#contentTokens === 0;
    if (this.#plan !== null && isOpen) controls.push(this.#plan.markers.sectionStart);
    return controls;
  }

  #mask(logits: Float32Array): void {
    if (this.#section !== null) {
      this.#section.mask(logits);
      return;
    }
    const controls = this.#listControls();
    const kept = controls.map((id) => logits[id]);
    if (this.#phase === 'answer' && this.#grammar !== null) this.#grammar.mask(logits);
    else for (const id of this.#deps.special.textless) logits[id] = Number.NEGATIVE_INFINITY;
    for (const [index, id] of controls.entries()) {
      const logit = kept[index];
      if (logit !== undefined) logits[id] = logit;
    }
  }

  #fit(id: number): number {
    if (this.#phase !== 'answer' || this.#section !== null || this.#grammar === null || !this.#isContent(id)) return id;
    const fitting = this.#grammar.fit(id, this.remainingTokens);
    if (fitting !== id) this.#isLed = true;
    return fitting;
  }

  /** The same as `#mask` says, for one token; where a grammar decides, it does so when it takes the token. */
  #canFollow(id: number): boolean {
    const { tokenizer } = this.#deps;
    if (!Number.isSafeInteger(id) || this.ended) return false;
    if (this.#section !== null || this.#listControls().includes(id)) return true;
    if (this.#phase === 'answer' && this.#grammar !== null) return id !== this.#plan?.markers.sectionStart;
    return id >= 0 && id < tokenizer.vocabularySize && tokenizer.tokenBytes(id).length > 0;
  }

  /** Is this token, sampled now, one of the content? */
  #isContent(id: number): boolean {
    const isMarker = id === this.#plan?.markers.sectionStart || this.#deps.special.stopIds.includes(id);
    return this.#phase === 'answer' && !isMarker;
  }

  #replay(index: number, id: number, logprob: TokenLogprob | null): void {
    try {
      this.#take(id, logprob);
    } catch (error) {
      if (!isAppError(error) || error.code !== 'bug.invariant') throw error;
      throw unfit(`token ${index} of the log is ${id}, which cannot stand there`, error);
    }
  }

  #take(id: number, logprob: TokenLogprob | null): void {
    const isContent = this.#isContent(id);
    this.#advance(id);
    if (isContent) this.#contentTokens++;
    this.#log.push(id);
    this.#sampler.count(id);
    this.#text.push(id, logprob);
    if (this.#section !== null) this.#text.closeContent();
    if (this.#ending === null && this.#log.length >= this.#prompt.maxTokens) this.#ending = 'length';
    if (this.#ending !== null) this.#text.close();
    // also what a broken character left behind at the end may be the rest of a stop string
    if (this.#text.isCut) this.#ending = 'stop';
  }

  /** Moves on by a token; throws `bug.invariant`, and leaves the state as it was, for one that cannot follow. */
  #advance(id: number): void {
    const { stopIds } = this.#deps.special;
    if (this.#section !== null) {
      this.#section.accept(id);
      if (this.#section.hasEnded) this.#ending = 'tool_calls';
    } else if (this.#plan !== null && id === this.#plan.markers.sectionStart) {
      this.#section = new ToolSection(this.#plan, this.#deps.tokenizer, this.#deps.grammars);
      this.#phase = 'tools';
    } else if (this.#phase === 'think') {
      this.#think(id);
    } else {
      this.#grammar?.accept(id);
      if (stopIds.includes(id) || this.#grammar?.isComplete() === true) this.#ending = this.#isLed ? 'length' : 'stop';
    }
  }

  #think(id: number): void {
    const { thinkStart, thinkEnd, stopIds } = this.#deps.special;
    if (stopIds.includes(id)) this.#ending = 'stop';
    else if (id === thinkEnd) {
      if (this.#isThoughtInTheWay() && !this.#isThoughtSpent()) this.#isLed = true;
      this.#phase = 'answer';
    } else if (id !== thinkStart) this.#thinkTokens++;
  }

  #readLogprob(step: StepLogprobs, id: number): TokenLogprob {
    const { tokenizer } = this.#deps;
    const { chosen, top } = step.read(id);
    const bytesOf = (token: number): readonly number[] =>
      // the head may have more rows than the tokenizer has tokens
      token < tokenizer.vocabularySize ? [...tokenizer.tokenBytes(token)] : [];
    return {
      ...chosen,
      bytes: bytesOf(id),
      top: top.map((chance) => ({ ...chance, bytes: bytesOf(chance.id) })),
    };
  }

  #openSampler(draws: number): CountingSampler {
    const { vocabularySize } = this.#deps.tokenizer;
    return openSampler(this.#request.sampling, { vocabularySize, promptIds: this.#prompt.ids, draws });
  }
}

function findLogprob(logprobs: readonly TokenLogprob[], index: number, id: number): TokenLogprob {
  const logprob = logprobs[index];
  if (logprob?.id === id) return logprob;
  throw unfit(`token ${index} of the content is ${id}, its log-probability is of ${logprob?.id ?? 'none'}`);
}

function unfit(what: string, cause?: unknown): AppError {
  return new AppError('corrupt.record', `checkpoint does not fit the request: ${what}`, { cause });
}
