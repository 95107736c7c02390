import { AppError } from '../base/errors.ts';
import type {
  ClientMessage,
  EmbedRequest,
  EmbedResult,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
} from './messages.ts';
import type { GateEntry } from './request-gate.ts';

export interface EmbedOptions {
  /** Aborting cancels the request; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface GenerateOptions extends EmbedOptions {
  readonly onProgress?: (progress: GenerateProgress) => void;
  /** Called only for a request with `stream`. */
  readonly onDelta?: (delta: GenerateDelta) => void;
  readonly onCheckpoint?: (checkpoint: GenerateCheckpoint) => void;
}

/** What is asked for, and how its answer is given. */
export type Work =
  | {
      readonly type: 'generate';
      readonly request: GenerateRequest;
      readonly options: GenerateOptions;
      readonly resolve: (result: GenerateResult) => void;
    }
  | {
      readonly type: 'embed';
      readonly request: EmbedRequest;
      readonly options: EmbedOptions;
      readonly resolve: (result: EmbedResult) => void;
    };

/** One try of one request, from the call until its promise is settled and the engine process has let go of it. */
export class Ticket implements GateEntry {
  /** A name of its own for every try: the end of a cancelled one must not be taken for that of the next. */
  readonly wireId: string;
  readonly order: number;
  readonly bytes: number;
  readonly work: Work;
  readonly #reject: (error: unknown) => void;
  #checkpoint: GenerateCheckpoint | null;
  #asking: ((checkpoint: GenerateCheckpoint | null) => void)[] = [];
  #onAbort: (() => void) | null = null;
  #isSettled = false;

  constructor(work: Work, reject: (error: unknown) => void, order: number) {
    this.wireId = `${work.request.id}#${order}`;
    this.order = order;
    this.work = work;
    this.bytes = countBytes(work.request);
    this.#reject = reject;
    this.#checkpoint = work.type === 'generate' ? work.request.resume : null;
  }

  get id(): string {
    return this.work.request.id;
  }

  get priority(): number {
    return this.work.request.priority;
  }

  get deadlineMs(): number | null {
    return this.work.request.deadlineMs;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Where the request could go on: the newest one heard, or the one it began with. */
  get checkpoint(): GenerateCheckpoint | null {
    return this.#checkpoint;
  }

  get startMessage(): ClientMessage {
    const { type, request } = this.work;
    const id = this.wireId;
    return type === 'generate'
      ? { type: 'generate-start', request: { ...request, id } }
      : { type: 'embed-start', request: { ...request, id } };
  }

  /** Rejects with the signal's reason when it aborts, then calls `cancel`. */
  watchAbort(cancel: () => void): void {
    const { signal } = this.work.options;
    this.#onAbort = () => {
      this.reject(signal?.reason);
      cancel();
    };
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  takeProgress(progress: GenerateProgress): void {
    if (this.work.type === 'generate' && !this.#isSettled) this.work.options.onProgress?.(progress);
  }

  takeDelta(delta: GenerateDelta): void {
    if (this.work.type === 'generate' && !this.#isSettled) this.work.options.onDelta?.(delta);
  }

  takeCheckpoint(checkpoint: GenerateCheckpoint): void {
    this.#checkpoint = checkpoint;
    this.#answerAsking(checkpoint);
    if (this.work.type === 'generate' && !this.#isSettled) this.work.options.onCheckpoint?.(checkpoint);
  }

  /** The next checkpoint, or null when the request ends before it. @returns also whether somebody has asked already */
  nextCheckpoint(): { readonly next: Promise<GenerateCheckpoint | null>; readonly isFirst: boolean } {
    const isFirst = this.#asking.length === 0;
    return { next: new Promise((resolve) => this.#asking.push(resolve)), isFirst };
  }

  endGenerate(result: GenerateResult): void {
    const { work } = this;
    if (work.type === 'generate') this.#settle(() => work.resolve(result));
    else this.reject(mismatch(work));
  }

  endEmbed(result: EmbedResult): void {
    const { work } = this;
    if (work.type === 'embed') this.#settle(() => work.resolve(result));
    else this.reject(mismatch(work));
  }

  /** Does nothing when it is settled already, as when the caller has left. */
  reject(error: unknown): void {
    this.#settle(() => this.#reject(error));
  }

  #settle(answer: () => void): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (this.#onAbort !== null) this.work.options.signal?.removeEventListener('abort', this.#onAbort);
    this.#answerAsking(null);
    answer();
  }

  #answerAsking(checkpoint: GenerateCheckpoint | null): void {
    const asking = this.#asking;
    this.#asking = [];
    for (const answer of asking) answer(checkpoint);
  }
}

function mismatch({ type, request }: Work): AppError {
  return new AppError('bug.invariant', `the engine ended request ${request.id} of type ${type} as another type`);
}

/** About what a request takes in the pipe and in both processes: text in UTF-8, anything else eight bytes a value. */
export function countBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 8;
  let bytes = 0;
  for (const part of Object.values(value)) bytes += countBytes(part);
  return bytes;
}
