import type { Clock } from '../base/clock.ts';
import { AppError, deserializeError, type ErrorDetails } from '../base/errors.ts';
import { assertNever } from '../base/invariant.ts';
import type { Logger } from '../base/log.ts';
import type { EngineChannel, EngineExit } from './engine-channel.ts';
import { EngineProcess, type WorkMessage } from './engine-process.ts';
import type {
  ClientMessage,
  EmbedRequest,
  EmbedResult,
  EngineStats,
  GenerateCheckpoint,
  GenerateRequest,
  GenerateResult,
  ModelCard,
  SavedPage,
  WantedPage,
} from './messages.ts';
import { RequestGate } from './request-gate.ts';
import { Suspects } from './suspects.ts';
import { type EmbedOptions, type GenerateOptions, Ticket, type Work } from './ticket.ts';

/** Copies page files between the engine's disk and a store that other workers reach. */
export interface PageCarrier {
  /** Returns at once; what cannot be uploaded is dropped. */
  upload(page: SavedPage): void;
  /** Writes the file to `page.path`; false when there is none to be had. Never rejects. */
  download(page: WantedPage): Promise<boolean>;
  /** Of downloads lately; null: not known. */
  readonly bytesPerSecond: number | null;
}

export interface EngineClientDeps {
  readonly connect: () => EngineChannel;
  readonly clock: Clock;
  readonly log: Logger;
  /** Carries page files to and from the object store; left out: there is none. */
  readonly pages?: PageCarrier | null;
  readonly onPid?: (pid: number | null) => void;
  /** The model cannot be loaded any more; the process that owns this client can only end. */
  readonly onFailed?: (error: AppError) => void;
  /** Most requests in the engine process; others wait here, where they can be ordered. @defaultValue 256 */
  readonly maxInFlight?: number;
  /** Most bytes of requests in the engine process. @defaultValue 64 MiB */
  readonly maxInFlightBytes?: number;
}

/** First turn of a suspect; it doubles with every end that met it, so that one that fails late is found as well. */
const firstTurnMs = 60_000;
const maxTurnMs = firstTurnMs * 2 ** 6;

/**
 * Gives each request its result, from whichever engine process lives.
 *
 * C1. Every request is settled once: by its result, its own error, the caller's signal, or the end of its process.
 * C2. What is not sent yet outlives a process. What was sent rejects with `transient.engine-interrupted`, and the
 *     caller decides to try again; `Suspects` (S1–S6) say who is refused, `RequestGate` (G1–G5) who goes when.
 * C3. Each start that was sent has exactly one end: the process's word or its death. Until then it counts as in the
 *     process, even when the caller has left.
 */
export class EngineClient {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #process: EngineProcess;
  readonly #pages: PageCarrier | null;
  readonly #suspects = new Suspects();
  readonly #gate: RequestGate<Ticket>;
  /** What is in the process, by wire id. */
  readonly #sent = new Map<string, Ticket>();
  #order = 0;
  /** The pipe is full: no request goes in, only what is small. */
  #isBlocked = false;
  /** Wire ids in the run that began last. */
  #inRun: ReadonlySet<string> = new Set();
  #stats: EngineStats | null = null;
  #turnTimer: AbortController | null = null;

  constructor(deps: EngineClientDeps) {
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#pages = deps.pages ?? null;
    this.#gate = new RequestGate({
      maxInFlight: deps.maxInFlight ?? 256,
      maxInFlightBytes: deps.maxInFlightBytes ?? 64 * 2 ** 20,
      fairMs: firstTurnMs,
      isSuspect: ({ id }) => this.#suspects.mustRunAlone(id),
      nowMs: () => deps.clock.nowMs(),
    });
    this.#process = new EngineProcess({
      connect: deps.connect,
      clock: deps.clock,
      log: deps.log,
      onPid: (pid) => deps.onPid?.(pid),
      onReady: () => this.#pump(),
      onMessage: (message) => this.#receive(message),
      onDrain: () => {
        this.#isBlocked = false;
        this.#pump();
      },
      onExit: (exit) => this.#exited(exit),
      onFailed: (error) => {
        this.#rejectAll(error);
        deps.onFailed?.(error);
      },
    });
  }

  /** Resolves when an engine is loaded, at once when it is; rejects when the model cannot be loaded at all. */
  ready(): Promise<ModelCard> {
    return this.#process.ready();
  }

  /**
   * @throws what the engine reports; the signal's reason; `bug.engine-crash` for a request that ends engine processes;
   *   `transient.engine-interrupted` with `details.running` (was it in the run that was going on?) and
   *   `details.checkpoint` (a `GenerateCheckpoint` to resume from, or null; not enumerable, because its tokens are
   *   text, which has no place in logs)
   */
  async generate(request: GenerateRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    return new Promise((resolve, reject) => this.#submit({ type: 'generate', request, options, resolve }, reject));
  }

  /** @throws as `generate`; there is no checkpoint of an embedding */
  async embed(request: EmbedRequest, options: EmbedOptions = {}): Promise<EmbedResult> {
    return new Promise((resolve, reject) => this.#submit({ type: 'embed', request, options, resolve }, reject));
  }

  /**
   * The next checkpoint of a request by its own id. One that is not sent yet stands where it resumes.
   * Null when there is no such request, or when it ends first.
   */
  checkpoint(id: string): Promise<GenerateCheckpoint | null> {
    const isMeant = (ticket: Ticket): boolean => ticket.id === id && !ticket.isSettled;
    const sent = [...this.#sent.values()].findLast(isMeant);
    if (sent === undefined) return Promise.resolve(this.#gate.waiting.findLast(isMeant)?.checkpoint ?? null);
    const { next, isFirst } = sent.nextCheckpoint();
    if (isFirst) this.#say({ type: 'checkpoint', id: sent.wireId });
    return next;
  }

  /** What the engine process said last of itself; null while there is none. */
  stats(): EngineStats | null {
    return this.#stats;
  }

  close(): void {
    this.#process.close();
    if (this.#process.end !== null) this.#rejectAll(this.#process.end);
  }

  #submit(work: Work, reject: (error: unknown) => void): void {
    work.options.signal?.throwIfAborted();
    const refusal = this.#process.end ?? this.#suspects.findQuarantined(work.request.id);
    if (refusal !== null && refusal !== undefined) throw refusal;
    const ticket = new Ticket(work, reject, this.#order++);
    ticket.watchAbort(() => this.#abandon(ticket));
    this.#gate.add(ticket);
    this.#pump();
  }

  #abandon(ticket: Ticket): void {
    if (this.#sent.has(ticket.wireId)) this.#say({ type: 'cancel', id: ticket.wireId });
    else this.#gate.remove(ticket);
    this.#pump();
  }

  /** Sends what may be sent. */
  #pump(): void {
    while (this.#process.isReady && !this.#isBlocked) {
      const ticket = this.#gate.take();
      if (ticket === undefined) return;
      this.#sent.set(ticket.wireId, ticket);
      if (this.#gate.alone === ticket) this.#beginTurn(ticket);
      this.#say(ticket.startMessage);
    }
  }

  #say(message: ClientMessage): void {
    if (!this.#process.send(message)) this.#isBlocked = true;
  }

  #beginTurn(ticket: Ticket): void {
    this.#log.info({ requestId: ticket.id }, 'request runs alone: it may be what ended the engine process');
    const turnMs = Math.min(firstTurnMs * 2 ** (this.#suspects.ends(ticket.id) - 1), maxTurnMs);
    this.#turnTimer = new AbortController();
    const end = (): void => {
      if (this.#gate.alone !== ticket) return;
      this.#gate.endTurn();
      this.#pump();
    };
    this.#clock.sleep(turnMs, this.#turnTimer.signal).then(end, () => {});
  }

  #receive(message: WorkMessage): void {
    switch (message.type) {
      case 'engine-stats':
        this.#stats = message.stats;
        return;
      case 'run-start':
        this.#inRun = new Set(message.ids);
        return;
      case 'page-saved':
        this.#pages?.upload(message.page);
        return;
      case 'page-wanted':
        void this.#download(message.page);
        return;
      case 'generate-progress':
        this.#sent.get(message.id)?.takeProgress(message.progress);
        return;
      case 'generate-delta':
        this.#sent.get(message.id)?.takeDelta(message.delta);
        return;
      case 'generate-checkpoint':
        this.#sent.get(message.id)?.takeCheckpoint(message.checkpoint);
        return;
      case 'generate-end':
        this.#end(message.id, (ticket) => ticket.endGenerate(message.result));
        return;
      case 'embed-end':
        this.#end(message.id, (ticket) => ticket.endEmbed(message.result));
        return;
      case 'request-failed':
        this.#end(message.id, (ticket) => ticket.reject(deserializeError(message.error)));
        return;
      default:
        assertNever(message);
    }
  }

  /** A process that ended meanwhile had paths of its own, so its successor does not take this for an answer. */
  async #download(page: WantedPage): Promise<void> {
    const found = (await this.#pages?.download(page)) ?? false;
    const bytesPerSecond = this.#pages?.bytesPerSecond ?? null;
    this.#say({ type: 'page-arrived', path: page.path, found, bytesPerSecond });
  }

  #end(id: string, settle: (ticket: Ticket) => void): void {
    const ticket = this.#sent.get(id);
    if (ticket === undefined) return;
    this.#sent.delete(id);
    if (!ticket.isSettled) this.#suspects.clear(ticket.id);
    this.#leave(ticket);
    settle(ticket);
    this.#pump();
  }

  #leave(ticket: Ticket): void {
    if (this.#gate.alone === ticket) this.#turnTimer?.abort();
    this.#gate.remove(ticket);
  }

  #exited(exit: EngineExit): void {
    const tickets = [...this.#sent.values()];
    const isInRun = (ticket: Ticket): boolean => this.#inRun.has(ticket.wireId);
    const met = tickets.map((ticket) => ({
      id: ticket.id,
      inRun: isInRun(ticket),
      tokens: ticket.checkpoint?.tokenIds.length ?? 0,
    }));
    this.#suspects.processEnded(exit, { alone: this.#gate.alone !== null, met });
    for (const ticket of tickets) this.#leave(ticket);
    this.#sent.clear();
    for (const ticket of tickets) {
      const culprit = this.#suspects.findQuarantined(ticket.id);
      if (culprit !== undefined) this.#log.error({ requestId: ticket.id, how: exit.how }, 'request is quarantined');
      ticket.reject(culprit ?? interrupted(exit, isInRun(ticket), ticket.checkpoint));
    }
    this.#inRun = new Set();
    this.#stats = null;
    this.#isBlocked = false;
    this.#refuseQuarantined();
  }

  /** The same request may have been submitted twice. */
  #refuseQuarantined(): void {
    for (const ticket of [...this.#gate.waiting]) {
      const error = this.#suspects.findQuarantined(ticket.id);
      if (error === undefined) continue;
      this.#gate.remove(ticket);
      ticket.reject(error);
    }
  }

  #rejectAll(error: AppError): void {
    const tickets = [...this.#sent.values(), ...this.#gate.waiting];
    for (const ticket of tickets) this.#leave(ticket);
    this.#sent.clear();
    for (const ticket of tickets) ticket.reject(error);
  }
}

function interrupted(exit: EngineExit, running: boolean, checkpoint: GenerateCheckpoint | null): AppError {
  const details: ErrorDetails = Object.defineProperty({ running }, 'checkpoint', { value: checkpoint });
  return new AppError('transient.engine-interrupted', `engine process ended: ${exit.how}`, { details });
}
