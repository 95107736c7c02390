import type { GenerateDelta, GeneratedToolCall, TokenLogprob, ToolCallDelta } from '../messages.ts';
import type { Tokenizer } from '../ports.ts';
import { type OutputDelta, openOutputParser } from '../tokenizer/output-parser.ts';
import { ContentText } from './content-text.ts';
import { ContentTokens } from './content-tokens.ts';

/**
 * What the tokens of an answer say, and what of it a reader has been given.
 *
 * T1. All deltas together are the result: what may still be cut off is not given.
 */
export class AnswerText {
  readonly #output: ReturnType<typeof openOutputParser>;
  readonly #content: ContentText;
  /** Null when log-probabilities are not asked for. */
  readonly #tokens: ContentTokens | null;
  #reasoning = '';
  #calls: ToolCallDelta[] = [];
  #given = { reasoning: 0, content: 0, tokens: 0 };

  constructor(tokenizer: Tokenizer, stops: readonly string[], hasLogprobs: boolean) {
    this.#output = openOutputParser(tokenizer);
    this.#content = new ContentText(stops);
    this.#tokens = hasLogprobs ? new ContentTokens() : null;
  }

  get reasoning(): string {
    return this.#reasoning;
  }

  get content(): string {
    return this.#content.text;
  }

  get toolCalls(): readonly GeneratedToolCall[] {
    return this.#output.result().toolCalls;
  }

  /** A stop string has ended the content. */
  get isCut(): boolean {
    return this.#content.isCut;
  }

  /** Of all tokens of the content, also of those that a stop string has cut off. */
  get logprobs(): readonly TokenLogprob[] | null {
    return this.#tokens?.entries ?? null;
  }

  /** Of the tokens whose text is in the content. */
  get keptLogprobs(): readonly TokenLogprob[] | null {
    if (this.#tokens === null) return null;
    return this.#tokens.entries.slice(0, this.#tokens.countWithin(this.#content.text.length));
  }

  /** @param logprob of a token of the content; null for others, and when it is not asked for */
  push(id: number, logprob: TokenLogprob | null): void {
    const before = this.#content.text.length;
    const delta = this.#output.push(id);
    this.#take(delta);
    if (logprob !== null) {
      const text = delta?.channel === 'content' ? delta.text : '';
      this.#tokens?.push(logprob, text, before);
    }
  }

  /** No more content comes: what waits to be shown is. Tool calls may follow. */
  closeContent(): void {
    this.#content.close();
    this.#tokens?.close(this.#content.text.length);
  }

  /** Nothing more comes at all. */
  close(): void {
    this.#take(this.#output.flush());
    if (!this.#content.isCut) this.closeContent();
  }

  /** What is to be given since the last time; null when nothing is. */
  takeDelta(completionTokens: number): GenerateDelta | null {
    const given = this.#given;
    const shown = this.#content.shownLength;
    const shownTokens = this.#tokens?.countWithin(shown) ?? 0;
    const reasoning = this.#reasoning.slice(given.reasoning);
    const content = this.#content.text.slice(given.content, shown);
    const toolCalls = this.#calls;
    const logprobs = this.#tokens?.entries.slice(given.tokens, shownTokens) ?? null;
    if (reasoning === '' && content === '' && toolCalls.length === 0 && (logprobs ?? []).length === 0) return null;
    this.#given = { reasoning: this.#reasoning.length, content: shown, tokens: shownTokens };
    this.#calls = [];
    return { reasoning, content, toolCalls, logprobs, completionTokens };
  }

  #take(delta: OutputDelta | null): void {
    if (delta === null) return;
    if (delta.channel === 'tool-call') this.#addCall(delta.call);
    else if (delta.channel === 'content') this.#content.push(delta.text);
    else this.#reasoning += delta.text;
  }

  /** Pieces of one call that nobody has taken yet are one. */
  #addCall(piece: ToolCallDelta): void {
    const last = this.#calls.at(-1);
    if (last?.index !== piece.index) this.#calls.push(piece);
    else this.#calls[this.#calls.length - 1] = { ...last, arguments: last.arguments + piece.arguments };
  }
}
