import type { LineDelta } from '../../queue/index.ts';
import { encodeData } from './event-stream.ts';
import { readStoredChoices, type StoredChoice } from './stored-choice.ts';
import { type ChoiceDelta, StreamedChoice } from './streamed-choice.ts';

/** What every chunk of one stream repeats. */
export interface ChunkFrame {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

export interface StreamedAnswerOptions {
  readonly frame: ChunkFrame;
  readonly choices: number;
  /** End with a chunk of usage, as `stream_options.include_usage` asks. */
  readonly includeUsage: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** A chat completion on its way to a caller, as text of an event stream. */
export class StreamedAnswer {
  readonly #options: StreamedAnswerOptions;
  readonly #choices: readonly StreamedChoice[];
  #hasBegun = false;

  constructor(options: StreamedAnswerOptions) {
    this.#options = options;
    this.#choices = Array.from({ length: options.choices }, () => new StreamedChoice());
  }

  /** @returns whether it was taken and something waits to be sent */
  take(delta: LineDelta): boolean {
    return this.#choices[delta.choice]?.take(delta) ?? false;
  }

  /** What is known and not sent yet; empty when there is nothing. */
  takeUnsent(): string {
    const deltas = this.#choices.map((choice) => choice.takeUnsent());
    if (deltas.every((list) => list.length === 0)) return '';
    return this.#begin() + deltas.map((list, index) => this.#encodeDeltas(list, index)).join('');
  }

  /**
   * The rest of the stream, from the stored answer.
   * @throws `transient.stream-diverged` when what is sent is not the beginning of it; `corrupt.record`
   */
  takeRest(body: Fields): string {
    const stored = readStoredChoices(body, this.#choices.length);
    for (const [index, choice] of stored.entries()) this.#choices[index]?.complete(choice);
    return [
      this.#begin(),
      this.takeUnsent(),
      this.#encodeEnds(stored, body),
      this.#encodeUsage(body),
      encodedDone,
    ].join('');
  }

  #begin(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    const begin: ChoiceDelta = { delta: { role: 'assistant', content: '' }, logprobs: null };
    return this.#choices.map((_choice, index) => this.#encodeDeltas([begin], index)).join('');
  }

  #encodeDeltas(deltas: readonly ChoiceDelta[], index: number): string {
    return deltas.map((delta) => this.#encode([{ index, ...delta, finish_reason: null }])).join('');
  }

  /** Each choice says how it ended; the last one carries what is quire's own about the whole. */
  #encodeEnds(stored: readonly StoredChoice[], body: Fields): string {
    return stored
      .map(({ finishReason }, index) => {
        const end = { index, delta: {}, logprobs: null, finish_reason: finishReason };
        const isLast = index === stored.length - 1;
        return this.#encode([end], isLast && body['ext'] !== undefined ? { ext: body['ext'] } : {});
      })
      .join('');
  }

  #encodeUsage(body: Fields): string {
    return this.#options.includeUsage ? this.#encode([], { usage: body['usage'] ?? null }) : '';
  }

  #encode(choices: readonly Fields[], more: Fields = {}): string {
    const { frame, includeUsage } = this.#options;
    const usage = includeUsage ? { usage: null } : {};
    return encodeData({ object: 'chat.completion.chunk', ...frame, choices, ...usage, ...more });
  }
}

const encodedDone = 'data: [DONE]\n\n';
