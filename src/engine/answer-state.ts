import type { GenerateRequest, GenerateResult } from './messages.ts';
import type { Grammar, Sampler, Tokenizer } from './ports.ts';
import type { SpecialTokens } from './special-tokens.ts';
import { parseToolCalls } from './tokenizer/output-parser.ts';

type Phase = 'think' | 'answer' | 'tools';

/** What generation ended with. */
type Ending = { readonly type: 'stop' } | { readonly type: 'length' } | { readonly type: 'tool_calls' };

/**
 * The tokens of one answer and where in it we are: reasoning, then text or JSON, or a section of tool calls.
 *
 * A1. Outside text nothing without text is ever sampled but what the phase allows (end of thought, stop, tool markers).
 * A2. The grammar sees exactly the tokens of the answer phase, stop tokens excluded.
 * A3. `takeForced` tokens count as completion tokens, as if the model had written them.
 */
export class AnswerState {
  readonly #request: GenerateRequest;
  readonly #tokenizer: Tokenizer;
  readonly #special: SpecialTokens;
  readonly #grammar: Grammar | null;
  readonly #sampler: Sampler;
  readonly #maxTokens: number;
  #phase: Phase;
  readonly #reasoningIds: number[] = [];
  readonly #toolIds: number[] = [];
  #content = '';
  readonly #decoder;
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
    this.#tokenizer = tokenizer;
    this.#special = special;
    this.#grammar = grammar;
    this.#sampler = sampler;
    this.#maxTokens = maxTokens;
    this.#decoder = tokenizer.openDecoder();
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
  next(logits: Float32Array): number | null {
    if (this.#phase === 'answer' && this.#grammar?.isComplete() === true) {
      this.#ending = { type: 'stop' };
      return null;
    }
    this.#mask(logits);
    const id = this.#sampler.sample(logits);
    this.#take(id);
    return id;
  }

  result(): Pick<
    GenerateResult,
    'reasoning' | 'content' | 'toolCalls' | 'finishReason' | 'completionTokens' | 'reasoningTokens'
  > {
    return {
      reasoning: this.#tokenizer.decode(this.#reasoningIds),
      content: this.#content,
      toolCalls: this.#toolIds.length === 0 ? [] : parseToolCalls(this.#toolIds, this.#tokenizer),
      finishReason: this.#ending?.type ?? 'length',
      completionTokens: this.#completionTokens,
      reasoningTokens: this.#thinkTokens,
    };
  }

  #mask(logits: Float32Array): void {
    const { thinkEnd, stopIds, toolTokens, textless } = this.#special;
    if (this.#phase === 'answer' && this.#grammar !== null) {
      this.#grammar.mask(logits);
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
    if (this.#special.stopIds.includes(id)) this.#finish({ type: 'stop' });
    else if (id === this.#special.toolSectionStart) this.#startTools(id);
    else if (this.#phase === 'think') this.#takeThought(id);
    else if (this.#phase === 'tools') this.#takeTool(id);
    else this.#takeContent(id);
    if (this.#ending === null && this.#completionTokens >= this.#maxTokens) this.#finish({ type: 'length' });
  }

  #takeThought(id: number): void {
    if (id === this.#special.thinkStart) return;
    if (id === this.#special.thinkEnd) {
      this.#phase = 'answer';
      return;
    }
    this.#thinkTokens++;
    this.#reasoningIds.push(id);
  }

  #takeContent(id: number): void {
    this.#grammar?.accept(id);
    this.#content += this.#decoder.push(id);
    const cut = this.#request.stop
      .map((text) => this.#content.indexOf(text))
      .filter((at) => at >= 0)
      .reduce((first, at) => Math.min(first, at), Number.POSITIVE_INFINITY);
    if (Number.isFinite(cut)) {
      this.#content = this.#content.slice(0, cut);
      this.#ending = { type: 'stop' };
    }
  }

  #startTools(id: number): void {
    this.#phase = 'tools';
    this.#toolIds.push(id);
  }

  #takeTool(id: number): void {
    this.#toolIds.push(id);
    if (id === this.#special.toolSectionEnd) this.#finish({ type: 'tool_calls' });
  }

  #finish(ending: Ending): void {
    this.#content += this.#decoder.flush();
    this.#ending = ending.type === 'stop' && this.#toolIds.length > 0 ? { type: 'tool_calls' } : ending;
  }
}
