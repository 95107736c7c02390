import { AppError } from '../base/errors.ts';
import { type AnswerDeps, openAnswer } from './answer-state.ts';
import { type Drafter, noDrafts } from './draft/drafter.ts';
import { LookupDrafter } from './draft/lookup-drafter.ts';
import { EmbedTask, encodeInputs } from './embed-task.ts';
import { type EncodeLimits, encodeRequest, prefixKeyOf } from './encode-request.ts';
import { EngineCounters } from './engine-counters.ts';
import { GuardedListener } from './guarded-listener.ts';
import type { BlockBudget } from './kv/block-budget.ts';
import { PageChain } from './kv/page-name.ts';
import { PageSource } from './kv/page-source.ts';
import type { PrefixCache } from './kv/prefix-cache.ts';
import type { RemotePages } from './kv/remote-pages.ts';
import type { EmbedRequest, EmbedResult, EngineStats, GenerateRequest, GenerateResult, TierStats } from './messages.ts';
import { blockRows, type EngineService, type GenerateListener, type ModelRunner, type PageTier } from './ports.ts';
import { reportProgress } from './report-progress.ts';
import { RoundRunner } from './round.ts';
import type { Scored } from './row-walk.ts';
import { Admission } from './schedule/admission.ts';
import { Residents } from './schedule/residents.ts';
import { restoreAnswer, Sequence } from './sequence.ts';

export interface EngineOptions {
  /** Most sequences that have a place at a time. */
  readonly maxSequences: number;
  /** Token budget of a round, and so what a request waits for another's prefill at the most. */
  readonly prefillTokens: number;
  /** Most tokens of an answer that one run verifies beyond those it must compute; 0: none are guessed. */
  readonly draftTokens: number;
}

export interface EngineDeps extends AnswerDeps {
  readonly runner: ModelRunner;
  readonly budget: BlockBudget;
  readonly cache: PrefixCache;
  /** Pages below memory, and what `stats` says of the tiers there. */
  readonly tier: PageTier | null;
  readonly tierStats: () => { readonly disk: TierStats | null; readonly remote: TierStats | null };
  /** Pages that other processes share; left out: there are none. */
  readonly remotePages?: RemotePages | null;
  /** Where guesses at coming tokens are from; left out: from earlier places of prompt and answer. */
  readonly drafter?: Drafter<Sequence>;
  readonly nowMs: () => number;
}

/** A round is idle when everybody in it was cancelled; several in a row are not. */
const maxIdleRounds = 8;

interface Settle {
  readonly resolve: (result: GenerateResult) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Tokens of a prompt that nobody shares are read from its own blocks up to here, and from a window beyond: requests with
 * the same window decode in one run, also those with none. Where own rows are copied in each run that pays for short
 * prompts; where whole blocks are read in place, for all but those whose copy in a run of the prompt takes much memory.
 */
const mostCopied = 2_048;
const mostInPlace = 16_384;

/**
 * Continuous batching: requests come, go and are cancelled between any two runs.
 *
 * G1 Every request ends once: with its result, its error, or as cancelled.
 * G2 What a request is answered depends on the request alone; the schedule decides only when.
 * G3 An error that belongs to one sequence ends that one; an error of a run ends those that were in it.
 */
export class Engine implements EngineService {
  readonly #deps: EngineDeps;
  /**
   * Half of the memory is the most that one sequence may fill, since its blocks may be held in INT8 too, half as large.
   * Half of that is for the one embedding that may be in work beside it.
   */
  readonly #limits: EncodeLimits;
  readonly #counters: EngineCounters;
  readonly #residents: Residents;
  readonly #admission: Admission;
  readonly #round: RoundRunner;
  readonly #drafter: Drafter<Sequence>;
  readonly #open = new Map<Sequence, Settle>();
  readonly #embeds = new Set<EmbedTask>();
  #arrivals = 0;
  #isLooping = false;
  #idleRounds = 0;
  #wake: (() => void) | null = null;

  constructor(deps: EngineDeps, options: EngineOptions) {
    const { runner, budget, nowMs } = deps;
    this.#deps = deps;
    const half = Math.floor(budget.total / 2);
    const ownTokens = runner.rounding === null ? mostCopied : mostInPlace;
    this.#limits = { windowTokens: runner.contextTokens, memoryTokens: half * blockRows, ownTokens };
    this.#counters = new EngineCounters(() => runner.runMs);
    this.#drafter = deps.drafter ?? (options.draftTokens > 0 ? new LookupDrafter(options.draftTokens) : noDrafts);
    const pages = new PageSource(deps.cache, deps.tier);
    const onLoaded = (): void => this.#wake?.();
    this.#residents = new Residents({ shape: runner, budget, pages, onLoaded });
    this.#admission = new Admission({
      residents: this.#residents,
      counters: this.#counters,
      maxSequences: options.maxSequences,
      nowMs,
      onMoved: (sequence) => reportProgress(sequence),
    });
    this.#round = new RoundRunner({
      runner,
      pages,
      residents: this.#residents,
      admission: this.#admission,
      counters: this.#counters,
      embeds: this.#embeds,
      drafter: this.#drafter,
      stepTokens: options.prefillTokens,
      breathe: () => this.#breathe(),
      onPrefixRun: (tokens, ms) => deps.remotePages?.notePrefill(tokens, ms),
      onScored: (scored) => this.#take(scored),
      onFailed: (sequences, error) => {
        for (const sequence of sequences) this.#end(sequence, (settle) => settle.reject(error));
      },
      onEmbedEnd: (task, error) => this.#endEmbed(task, error),
    });
  }

  generate(request: GenerateRequest, listener: GenerateListener): Promise<GenerateResult> {
    return new Promise((resolve, reject) => {
      const sequence = this.#openSequence(request, listener);
      if (sequence.answer.ended) {
        resolve(sequence.result(this.#deps.nowMs()));
        return;
      }
      this.#open.set(sequence, { resolve, reject });
      // what nobody else brings is not worth a request to the store
      if (request.sharedMessages > 0) this.#deps.remotePages?.expect(request.tenant, sequence.prefixNames);
      this.#admission.add(sequence);
      reportProgress(sequence);
      this.#start();
    });
  }

  embed(request: EmbedRequest): Promise<EmbedResult> {
    return new Promise((resolve, reject) => {
      const { tokenizer, runner } = this.#deps;
      const { windowTokens, memoryTokens } = this.#limits;
      const maxTokens = Math.min(windowTokens, Math.floor(memoryTokens / 2));
      const inputs = encodeInputs(tokenizer, request, { vocabularySize: runner.vocabularySize, maxTokens });
      this.#embeds.add(new EmbedTask(request, inputs, this.#arrivals++, { resolve, reject }));
      this.#start();
    });
  }

  cancel(id: string): void {
    for (const sequence of [...this.#open.keys()]) {
      if (sequence.request.id !== id) continue;
      sequence.isCancelled = true;
      // one that only waits need not wait for the run that is going on; the others may be in it
      if (sequence.residence === null) this.#drop(sequence);
    }
    for (const task of this.#embeds) if (task.request.id === id) task.isCancelled = true;
    this.#wake?.();
  }

  checkpoint(id: string): void {
    for (const sequence of this.#open.keys()) if (sequence.request.id === id) this.#save(sequence);
  }

  onRun(listener: (ids: readonly string[]) => void): void {
    this.#round.onRun = listener;
  }

  stats(): EngineStats {
    const { budget, cache, tierStats } = this.#deps;
    const { total, free, cached, held, blockBytes } = budget;
    return {
      waiting: this.#admission.waitingTotal,
      running: this.#residents.members.size + this.#embeds.size,
      blocks: { total, free, cached, held, blockBytes },
      tiers: { memory: cache.stats(), ...tierStats() },
      restore: this.#deps.remotePages?.restoreStats() ?? null,
      ...this.#counters.read(),
    };
  }

  /** Gives up windows that are only kept for the next request; their pages stay cached. */
  dropIdle(): void {
    this.#residents.windows.dropIdle();
  }

  /** Throws `bug.invariant` with the figures when the books do not balance. */
  checkIntegrity(): void {
    this.#residents.checkIntegrity();
    this.#deps.cache.checkIntegrity();
  }

  /** @throws what is wrong with the request or its checkpoint */
  #openSequence(request: GenerateRequest, listener: GenerateListener): Sequence {
    const { runner, tokenizer, nowMs } = this.#deps;
    const encoded = encodeRequest(tokenizer, request, this.#limits);
    const answer = openAnswer(this.#deps, request, encoded);
    const promptFormRows = runner.promptStep === null ? 0 : encoded.blockedRows;
    if (request.resume !== null) restoreAnswer(answer, request.resume, encoded);
    return new Sequence({
      request,
      listener: new GuardedListener(listener),
      encoded,
      answer,
      promptFormRows,
      chain: new PageChain(runner.digest, request.tenant, promptFormRows),
      engineDigest: runner.digest,
      arrival: this.#arrivals++,
      prefixKey: prefixKeyOf(request),
      enqueuedMs: nowMs(),
    });
  }

  #start(): void {
    this.#wake?.();
    if (this.#isLooping) return;
    this.#isLooping = true;
    this.#counters.resume();
    void this.#loop();
  }

  async #loop(): Promise<void> {
    try {
      while (this.#open.size > 0 || this.#embeds.size > 0) await this.#runRound();
    } finally {
      // before anybody can come who relies on a loop that has looked for the last time
      this.#isLooping = false;
      this.#counters.pause();
    }
  }

  async #runRound(): Promise<void> {
    await this.#breathe();
    this.#admission.admit(this.#round.starved);
    const didRun = await this.#round.run();
    const waits = !didRun && this.#isLoading();
    this.#idleRounds = didRun || waits ? 0 : this.#idleRounds + 1;
    if (waits) await this.#waitForPages();
    else if (this.#idleRounds > maxIdleRounds) this.#giveUp();
  }

  /** G1 even if we are wrong about memory: better an error than a request that waits for ever. */
  #giveUp(): void {
    this.#idleRounds = 0;
    const error = new AppError('bug.invariant', 'requests wait although nothing runs');
    for (const sequence of [...this.#open.keys()]) this.#end(sequence, (settle) => settle.reject(error));
    for (const task of [...this.#embeds]) this.#endEmbed(task, error);
  }

  /** Lets messages in, and cancelled requests out. */
  async #breathe(): Promise<void> {
    await new Promise(setImmediate);
    this.#dropCancelled();
  }

  #dropCancelled(): void {
    for (const sequence of [...this.#open.keys()]) {
      const { failure } = sequence.listener;
      if (sequence.isCancelled) this.#drop(sequence);
      else if (failure !== null) this.#end(sequence, (settle) => settle.reject(failure.error));
    }
    for (const task of [...this.#embeds]) {
      if (!task.isCancelled) continue;
      this.#counters.cancellations++;
      this.#endEmbed(task, cancelled());
    }
  }

  #drop(sequence: Sequence): void {
    this.#counters.cancellations++;
    this.#end(sequence, (settle) => settle.reject(cancelled()));
  }

  #isLoading(): boolean {
    return [...this.#residents.members].some(
      ({ residence }) => residence?.isLoading === true || residence?.window.isLoading === true,
    );
  }

  async #waitForPages(): Promise<void> {
    this.#counters.pause();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
    this.#counters.resume();
  }

  /** The next token of a sequence, and what follows from it. Returns whether it may take another one at once. */
  #take({ sequence, logits }: Scored): boolean {
    const { nowMs } = this.#deps;
    const { answer, listener, request } = sequence;
    try {
      sequence.firstTokenMs ??= nowMs();
      const id = answer.next(logits);
      if (id !== null) sequence.append([id]);
      if (!answer.ended) sequence.append(answer.takeForced());
      if (request.stream) {
        const delta = answer.takeDelta();
        if (delta !== null) listener.onDelta(delta);
      }
      if (answer.ended) {
        this.#drafter.remember(sequence);
        const result = sequence.result(nowMs());
        this.#end(sequence, (settle) => settle.resolve(result));
        return false;
      }
    } catch (error) {
      this.#end(sequence, (settle) => settle.reject(error));
      return false;
    }
    if (sequence.residence !== null) sequence.residence.isDecoding = true;
    this.#admission.grow(sequence);
    reportProgress(sequence);
    if (sequence.isSaveDue(nowMs())) this.#save(sequence);
    return sequence.residence !== null && !sequence.isCancelled && listener.failure === null;
  }

  #save(sequence: Sequence): void {
    this.#counters.checkpoints++;
    sequence.listener.onCheckpoint(sequence.save(this.#deps.runner.digest, this.#deps.nowMs()));
  }

  #end(sequence: Sequence, settle: (settle: Settle) => void): void {
    const open = this.#open.get(sequence);
    if (open === undefined) return;
    this.#open.delete(sequence);
    this.#admission.remove(sequence);
    settle(open);
  }

  #endEmbed(task: EmbedTask, error: unknown): void {
    this.#embeds.delete(task);
    this.#round.forget(task);
    if (error === null) task.resolve(task.result());
    else task.reject(error);
  }
}

function cancelled(): AppError {
  return new AppError('cancelled.by-user', 'request was cancelled');
}
