import type { GenerateRequest, GenerateResult } from './messages.ts';
import type { Grammar, Sampler, Tokenizer } from './ports.ts';
import type { SpecialTokens } from './special-tokens.ts';
import { type OutputParser, openOutputParser } from './tokenizer/output-parser.ts';

type Phase = 'think' | 'answer' | 'tools';

type Ending = GenerateResult['finishReason'];

/**
 * The tokens of one answer and where in it we are: reasoning, then text or JSON, or a section of tool calls.
 *
 * A1. Outside text nothing without text is ever sampled but what the phase allows (end of thought, stop, tool markers).
 * A2. The grammar sees exactly the tokens of the answer phase, stop tokens excluded.
 * A3. `takeForced` tokens count as completion tokens, as if the model had written them.
 */
export class AnswerState {
  readonly #request: GenerateRequest;
  readonly #special: SpecialTokens;
  readonly #grammar: Grammar | null;
  readonly #sampler: Sampler;
  readonly #maxTokens: number;
  #phase: Phase;
  #content = '';
  readonly #output: OutputParser;
  #hasTools = false;
  #completionTokens = 0;
  #thinkTokens = 0;
  #ending: Ending | null = null;

  constructor(
    request: GenerateRequest,
    tokenizer: Tokenizer,
    special: SpecialTokens,
    grammar: Grammar | null,
    sampler: Sampler,
    maxTokens: number,
  ) {
    this.#request = request;
    this.#special = special;
    this.#grammar = grammar;
    this.#sampler = sampler;
    this.#maxTokens = maxTokens;
    this.#output = openOutputParser(tokenizer);
    this.#phase = special.thinkStart !== null && special.thinkEnd !== null ? 'think' : 'answer';
  }

  get phase(): Phase {
    return this.#phase;
  }

  get ended(): boolean {
    return this.#ending !== null;
  }

  get completionTokens(): number {
    return this.#completionTokens;
  }

  /** Tokens that follow without asking the model: the opening of thought, and its end when the budget is spent. */
  takeForced(): number[] {
    const { thinkStart, thinkEnd } = this.#special;
    if (this.#phase !== 'think' || thinkStart === null || thinkEnd === null) return [];
    const forced: number[] = [];
    if (this.#completionTokens === 0) forced.push(thinkStart);
    const budget = this.#request.thinkingBudget;
    if (budget !== null && this.#thinkTokens >= budget) forced.push(thinkEnd);
    for (const id of forced) this.#take(id);
    return forced;
  }

  /** Samples the next token from `logits` (overwritten) and returns it, or null when the answer ended without one. */
  async next(logits: Float32Array): Promise<number | null> {
    if (this.#phase === 'answer' && (await this.#grammar?.isComplete()) === true) {
      this.#finish('stop');
      return null;
    }
    await this.#mask(logits);
    const id = this.#sampler.sample(logits);
    this.#take(id);
    return id;
  }

  result(): Pick<
    GenerateResult,
    'reasoning' | 'content' | 'toolCalls' | 'finishReason' | 'completionTokens' | 'reasoningTokens'
  > {
    const { reasoning, toolCalls } = this.#output.result();
    return {
      reasoning,
      content: this.#content,
      toolCalls,
      finishReason: this.#ending ?? 'length',
      completionTokens: this.#completionTokens,
      reasoningTokens: this.#thinkTokens,
    };
  }

  async #mask(logits: Float32Array): Promise<void> {
    const { thinkEnd, stopIds, toolTokens, textless } = this.#special;
    if (this.#phase === 'answer' && this.#grammar !== null) {
      await this.#grammar.mask(logits);
      return;
    }
    const allowed = new Map<number, number>();
    const allow = (id: number | null): void => {
      const logit = id === null ? undefined : logits[id];
      if (id !== null && logit !== undefined) allowed.set(id, logit);
    };
    if (this.#phase === 'think') allow(thinkEnd);
    // a thought must close before an answer that has a form; otherwise the model may stop anywhere
    if (this.#phase !== 'think' || this.#grammar === null) stopIds.forEach(allow);
    if (this.#request.tools !== null && this.#grammar === null) toolTokens.forEach(allow);
    for (const id of textless) logits[id] = Number.NEGATIVE_INFINITY;
    for (const [id, logit] of allowed) logits[id] = logit;
  }

  #take(id: number): void {
    this.#completionTokens++;
    const delta = this.#output.push(id);
    if (delta?.channel === 'content') this.#content += delta.text;
    if (this.#special.stopIds.includes(id)) this.#finish('stop');
    else if (id === this.#special.toolSectionEnd) this.#finish('tool_calls');
    else this.#enterOrCount(id);
    this.#cutAtStop();
    if (this.#ending === null && this.#completionTokens >= this.#maxTokens) this.#finish('length');
  }

  #enterOrCount(id: number): void {
    const { thinkStart, thinkEnd, toolSectionStart } = this.#special;
    if (id === toolSectionStart) {
      this.#phase = 'tools';
      this.#hasTools = true;
    } else if (this.#phase === 'think') {
      if (id === thinkEnd) this.#phase = 'answer';
      else if (id !== thinkStart) this.#thinkTokens++;
    } else if (this.#phase === 'answer') {
      this.#grammar?.accept(id);
    }
  }

  /** A stop string ends the answer and is no part of it. */
  #cutAtStop(): void {
    const places = this.#request.stop.map((text) => this.#content.indexOf(text)).filter((at) => at >= 0);
    if (places.length === 0) return;
    this.#content = this.#content.slice(0, Math.min(...places));
    this.#ending = 'stop';
  }

  #finish(ending: Ending): void {
    const rest = this.#output.flush();
    if (rest?.channel === 'content') this.#content += rest.text;
    this.#ending = ending === 'stop' && this.#hasTools ? 'tool_calls' : ending;
  }
}
