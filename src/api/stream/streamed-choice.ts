import { AppError } from '../../base/errors.ts';
import type { LineDelta, ToolCallPiece } from '../../queue/index.ts';
import type { StoredChoice } from './stored-choice.ts';
import { TextTrack } from './text-track.ts';

/**
 * One choice of an answer on its way to a caller. News of it may be lost, come twice, or come from another run of the
 * line; the stored answer comes last and is the truth.
 *
 * S1. What is sent, joined, is always the beginning of one answer; after `complete` it is the stored one.
 * S2. A delta is taken as a whole or not at all: none is taken that leaves a gap before it.
 * S3. News that contradict what is known end the news, not the stream: the stored answer decides.
 * S4. A reader that does not read costs a bounded amount of memory: further news are dropped, and come with the answer.
 */
export class StreamedChoice {
  readonly #reasoning = new TextTrack();
  readonly #content = new TextTrack();
  readonly #calls: StreamedCall[] = [];
  #logprobs: Readonly<Record<string, unknown>>[] = [];
  #sentLogprobs = 0;
  #completionTokens = 0;
  #isDeaf = false;

  /** @returns whether it was taken and something waits to be sent */
  take(delta: LineDelta): boolean {
    if (this.#isDeaf || !this.#reaches(delta) || this.#unsentSize > maxUnsentSize) return false;
    if (!this.#agrees(delta)) {
      this.#isDeaf = true;
      return false;
    }
    if (delta.completionTokens < this.#completionTokens) return false;
    this.#completionTokens = delta.completionTokens;
    this.#reasoning.join(delta.reasoning);
    this.#content.join(delta.content);
    for (const piece of delta.toolCalls) this.#joinCall(piece);
    if (delta.logprobs !== null) {
      const { at, tokens } = delta.logprobs;
      this.#logprobs.push(...tokens.slice(this.#logprobs.length - at));
    }
    return this.#unsentSize > 0;
  }

  /**
   * Takes the stored answer in place of all news.
   * @throws `transient.stream-diverged` when what is sent is not its beginning
   */
  complete({ reasoning, content, toolCalls, logprobs }: StoredChoice): void {
    this.#isDeaf = true;
    const sentCalls = this.#calls.filter(({ isSent }) => isSent);
    this.#calls.length = sentCalls.length;
    const isBeginning =
      this.#reasoning.complete(reasoning) &&
      this.#content.complete(content) &&
      sentCalls.every((call, index) => {
        const stored = toolCalls[index];
        return call.id === stored?.id && call.name === stored.name && call.arguments.complete(stored.arguments);
      });
    if (!isBeginning) throw diverged();
    for (const { id, name, arguments: text } of toolCalls.slice(sentCalls.length)) {
      const call = new StreamedCall(id, name);
      call.arguments.join({ at: 0, text });
      this.#calls.push(call);
    }
    this.#logprobs = [...(logprobs ?? [])];
  }

  /** OpenAI's deltas of what is not sent yet, in the order in which models write. */
  takeUnsent(): ChoiceDelta[] {
    return [...this.#takeReasoning(), ...this.#takeContent(), ...this.#takeCalls()];
  }

  get #unsentSize(): number {
    const texts = [this.#reasoning, this.#content, ...this.#calls.map((call) => call.arguments)];
    const characters = texts.reduce((total, { unsentLength }) => total + unsentLength, 0);
    const newCalls = this.#calls.filter(({ isSent }) => !isSent).length;
    return characters + newCalls + (this.#logprobs.length - this.#sentLogprobs) * logprobSize;
  }

  #reaches({ reasoning, content, toolCalls, logprobs }: LineDelta): boolean {
    const hasLogprobs = logprobs === null || logprobs.at <= this.#logprobs.length;
    const hasText = this.#reasoning.reaches(reasoning) && this.#content.reaches(content);
    return hasLogprobs && hasText && this.#reachesCalls(toolCalls);
  }

  /** Pieces of one delta may build on each other. */
  #reachesCalls(pieces: readonly ToolCallPiece[]): boolean {
    const lengths = this.#calls.map((call) => call.arguments.length);
    return pieces.every(({ index, id, name, arguments: { at, text } }) => {
      const begins = index === lengths.length && id !== null && name !== null;
      const length = begins ? 0 : lengths[index];
      if (length === undefined || at > length) return false;
      lengths[index] = Math.max(length, at + text.length);
      return true;
    });
  }

  #agrees({ reasoning, content, toolCalls }: LineDelta): boolean {
    return (
      this.#reasoning.agrees(reasoning) &&
      this.#content.agrees(content) &&
      toolCalls.every(({ index, id, name, arguments: text }) => {
        const call = this.#calls[index];
        if (call === undefined) return true;
        return (id ?? call.id) === call.id && (name ?? call.name) === call.name && call.arguments.agrees(text);
      })
    );
  }

  #joinCall({ index, id, name, arguments: text }: ToolCallPiece): void {
    const call = this.#calls[index] ?? new StreamedCall(id ?? '', name ?? '');
    this.#calls[index] = call;
    call.arguments.join(text);
  }

  #takeReasoning(): ChoiceDelta[] {
    const text = this.#reasoning.takeUnsent();
    // two servers, two names for one thing; clients read either
    return text === '' ? [] : [{ delta: { reasoning_content: text, reasoning: text }, logprobs: null }];
  }

  #takeContent(): ChoiceDelta[] {
    const text = this.#content.takeUnsent();
    const logprobs = this.#logprobs.slice(this.#sentLogprobs);
    this.#sentLogprobs = this.#logprobs.length;
    if (text === '' && logprobs.length === 0) return [];
    return [
      { delta: { content: text }, logprobs: logprobs.length === 0 ? null : { content: logprobs, refusal: null } },
    ];
  }

  #takeCalls(): ChoiceDelta[] {
    return this.#calls.flatMap((call, index) => {
      const begin = { index, id: call.id, type: 'function', function: { name: call.name, arguments: '' } };
      const begins = call.isSent ? [] : [begin];
      call.isSent = true;
      const text = call.arguments.takeUnsent();
      const pieces = [...begins, ...(text === '' ? [] : [{ index, function: { arguments: text } }])];
      return pieces.map((piece) => ({ delta: { tool_calls: [piece] }, logprobs: null }));
    });
  }
}

/** One entry of `choices` in a chunk, but for its index. */
export interface ChoiceDelta {
  readonly delta: Readonly<Record<string, unknown>>;
  readonly logprobs: Readonly<Record<string, unknown>> | null;
}

/** More than any model writes between two moments of a reader that reads; about 2 MiB. */
const maxUnsentSize = 1 << 20;
/** Characters of one entry with a few alternatives. */
const logprobSize = 512;

class StreamedCall {
  readonly arguments = new TextTrack();
  readonly id: string;
  readonly name: string;
  isSent = false;

  constructor(id: string, name: string) {
    this.id = id;
    this.name = name;
  }
}

const diverged = (): AppError =>
  new AppError(
    'transient.stream-diverged',
    'the answer had to be computed again and differs from what was sent: drop it and ask again',
  );
