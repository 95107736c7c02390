import { AppError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import { extendRows } from './extend-rows.ts';
import { LatentBuffer } from './kv/latent-buffer.ts';
import type { EmbedRequest, EmbedResult } from './messages.ts';
import { blockRows, type ModelRunner, type Tokenizer } from './ports.ts';
import type { PrefillJob } from './schedule/urgency.ts';

/** Token ids of each input. @throws `input.invalid-request`, `input.context-length` naming the input */
export function encodeInputs(
  tokenizer: Tokenizer,
  request: EmbedRequest,
  limits: { readonly vocabularySize: number; readonly maxTokens: number },
): readonly Int32Array[] {
  const refuse = (index: number, what: string): AppError =>
    new AppError('input.invalid-request', `input ${index} ${what}`, { param: 'input' });
  if (request.inputs.length === 0) throw new AppError('input.invalid-request', 'no input is given', { param: 'input' });
  return request.inputs.map((input, index) => {
    const ids = typeof input === 'string' ? tokenizer.encodePlain(input) : input;
    if (ids.length === 0) throw refuse(index, 'is empty');
    const strange = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= limits.vocabularySize);
    if (strange !== undefined) {
      throw refuse(index, `has the token id ${strange}, allowed: 0 to ${limits.vocabularySize - 1}`);
    }
    if (ids.length > limits.maxTokens) {
      const what = `input ${index} of ${ids.length} tokens is longer than the ${limits.maxTokens} that can be read`;
      throw new AppError('input.context-length', what, { param: 'input' });
    }
    return Int32Array.from(ids);
  });
}

/** Texts on their way to vectors: prefill without an answer. Nothing is cached, since pages hold no hidden states. */
export class EmbedTask implements PrefillJob {
  readonly request: EmbedRequest;
  readonly arrival: number;
  readonly resolve: (result: EmbedResult) => void;
  readonly reject: (error: unknown) => void;
  isCancelled = false;
  readonly #inputs: readonly Int32Array[];
  readonly #vectors: string[] = [];
  readonly #longest: number;
  #buffer: LatentBuffer | null = null;
  #row = 0;
  #sum = new Float64Array(0);

  constructor(
    request: EmbedRequest,
    inputs: readonly Int32Array[],
    arrival: number,
    promise: { readonly resolve: (result: EmbedResult) => void; readonly reject: (error: unknown) => void },
  ) {
    this.request = request;
    this.arrival = arrival;
    this.resolve = promise.resolve;
    this.reject = promise.reject;
    this.#inputs = inputs;
    this.#longest = inputs.reduce((longest, { length }) => Math.max(longest, length), 0);
  }

  get priority(): number {
    return this.request.priority;
  }

  get deadlineMs(): number | null {
    return this.request.deadlineMs;
  }

  /** Of the memory for latents. */
  get blocks(): number {
    return Math.ceil(this.#longest / blockRows);
  }

  get remainingTokens(): number {
    const rest = this.#inputs.slice(this.#vectors.length).reduce((sum, { length }) => sum + length, 0);
    return rest - this.#row;
  }

  get isDone(): boolean {
    return this.#vectors.length === this.#inputs.length;
  }

  /** Gives up the rows of the input in work; finished ones stay. */
  restart(): void {
    this.#buffer = null;
    this.#row = 0;
  }

  /** Computes at most `tokens` rows of the input that is next. Returns how many. */
  async advance(runner: ModelRunner, tokens: number): Promise<number> {
    const ids = this.#inputs[this.#vectors.length] ?? new Int32Array(0);
    this.#buffer ??= new LatentBuffer(runner.layers, runner.latentWidth, this.#longest);
    if (this.#row === 0) this.#sum = new Float64Array(runner.hiddenWidth);
    const chunk = ids.subarray(this.#row, this.#row + tokens);
    const wanted = chunk.length;
    const { hidden } = await extendRows(runner, this.#buffer, chunk, this.#row, { wanted, head: false });
    for (let at = 0; at < hidden.length; at++) {
      this.#sum[at % runner.hiddenWidth] = (this.#sum[at % runner.hiddenWidth] ?? 0) + (hidden[at] ?? 0);
    }
    this.#row += chunk.length;
    if (this.#row === ids.length) {
      const isUsable = this.#sum.every((value) => Number.isFinite(value));
      invariant(isUsable, `hidden states of input ${this.#vectors.length} are not finite numbers`);
      this.#vectors.push(encodeVector(normalize(this.#sum)));
      this.#row = 0;
    }
    return chunk.length;
  }

  result(): EmbedResult {
    return {
      vectors: this.#vectors,
      width: this.#sum.length,
      promptTokens: this.#inputs.reduce((sum, { length }) => sum + length, 0),
    };
  }
}

/** The mean points where the sum does: only the length differs, and that becomes 1. */
function normalize(sum: Float64Array): Float32Array {
  const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0));
  return Float32Array.from(sum, (value) => (length === 0 ? 0 : value / length));
}

function encodeVector(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
