import type { Drafter, DraftOutcome } from './draft/drafter.ts';
import type { EmbedTask } from './embed-task.ts';
import type { EngineCounters } from './engine-counters.ts';
import type { PageSource } from './kv/page-source.ts';
import type { PrefixWindow } from './kv/prefix-window.ts';
import type { ModelRunner } from './ports.ts';
import { reportProgress } from './report-progress.ts';
import type { RowWalk, Scored } from './row-walk.ts';
import type { Admission } from './schedule/admission.ts';
import { gatherNeighbours, listPrefillJobs, type PrefillTarget, prefillShare } from './schedule/prefill-jobs.ts';
import type { Residents } from './schedule/residents.ts';
import { choosePrefill, compareUrgency, type Urgent } from './schedule/urgency.ts';
import type { Sequence } from './sequence.ts';
import { advanceMembers, advanceWindow, type MemberStep } from './step.ts';

export interface RoundDeps {
  readonly runner: ModelRunner;
  readonly pages: PageSource;
  readonly residents: Residents;
  readonly admission: Admission;
  readonly counters: EngineCounters;
  readonly embeds: ReadonlySet<EmbedTask>;
  readonly drafter: Drafter<Sequence>;
  /** Token budget of a round. */
  readonly stepTokens: number;
  /** Lets messages in; sequences may be gone afterwards. */
  readonly breathe: () => Promise<void>;
  /** So many tokens of a prefix were computed in so much time. */
  readonly onPrefixRun: (tokens: number, ms: number) => void;
  /** False: no more tokens of it now, it has ended, was cancelled or has lost its place. */
  readonly onScored: (scored: Scored) => boolean;
  readonly onFailed: (sequences: readonly Sequence[], error: unknown) => void;
  readonly onEmbedEnd: (task: EmbedTask, error: unknown) => void;
}

/** Forced tokens come one or two at a time. */
const decodeWidth = 4;
const embedOwner = 'embeddings';

/** One round: a decode run for each window, then one chunk of prefill. */
export class RoundRunner {
  /** Called before a run when the set of requests in it differs from the run before. */
  onRun: (ids: readonly string[]) => void = () => {};
  readonly #deps: RoundDeps;
  /** Blocks held for each embedding in work. */
  readonly #embedBlocks = new Map<EmbedTask, number>();
  #starved: EmbedTask | null = null;
  #lastIds = '';
  #turn = 0;

  constructor(deps: RoundDeps) {
    this.#deps = deps;
  }

  /** An embedding that found no memory: less urgent requests must leave it some. */
  get starved(): Urgent | null {
    return this.#starved;
  }

  /** Returns whether anything ran. */
  async run(): Promise<boolean> {
    const decoded = await this.#decode();
    const didPrefill = await this.#prefill(decoded);
    return decoded > 0 || didPrefill;
  }

  /** Gives back what an embedding held. */
  forget(task: EmbedTask): void {
    if (this.#starved === task) this.#starved = null;
    const blocks = this.#embedBlocks.get(task);
    if (blocks === undefined) return;
    this.#embedBlocks.delete(task);
    this.#deps.residents.windows.giveBack(embedOwner, blocks);
  }

  async #decode(): Promise<number> {
    const { residents, breathe } = this.#deps;
    let tokens = 0;
    for (const group of residents.decoding) {
      if (tokens > 0) await breathe();
      // some may have gone meanwhile
      tokens += await this.#decodeMembers(group.filter(({ residence }) => residence?.isDecoding === true));
    }
    return tokens;
  }

  /** One run with drafts. Returns the rows computed. */
  async #decodeMembers(members: readonly Sequence[]): Promise<number> {
    const { runner, counters, drafter } = this.#deps;
    const residence = members[0]?.residence ?? null;
    if (residence === null) return 0;
    const plan = { members, readRows: Math.max(...members.map(({ rows }) => rows)) };
    const drafts = drafter.draft(plan);
    const beforeMs = runner.runMs;
    const step = await this.#runMembers(members, decodeWidth, drafts);
    if (step === null) return 0;
    const outcomes = step.walks.map(outcomeOf);
    drafter.learn(plan, outcomes, step.rows, runner.runMs - beforeMs);
    const drafted = outcomes.reduce((sum, outcome) => sum + outcome.drafted, 0);
    const accepted = outcomes.reduce((sum, outcome) => sum + outcome.accepted, 0);
    counters.draftedTokens += drafted;
    counters.acceptedTokens += accepted;
    counters.decodeTokens += step.tokens - drafted + accepted;
    return step.tokens;
  }

  async #prefill(decoded: number): Promise<boolean> {
    const { runner, stepTokens, breathe } = this.#deps;
    if (this.#listJobs().length === 0) return false;
    await breathe();
    const jobs = this.#listJobs();
    const job = choosePrefill(jobs, this.#turn);
    if (job === undefined) return false;
    // an embedding that finds no memory leaves its turn to the others
    const affordable =
      job.type === 'embed' && !this.#hold(job.task) ? jobs.filter(({ type }) => type !== 'embed') : jobs;
    const chosen = affordable === jobs ? job : choosePrefill(affordable, this.#turn);
    if (chosen === undefined) return false;
    this.#turn++;
    // nobody waits for a long run that has the engine to itself
    const isAlone = decoded === 0 && jobs.length === 1;
    const most = Math.max(prefillShare(stepTokens, decoded), isAlone ? (runner.bulkTokens ?? 0) : 0);
    await this.#runJob(chosen, most);
    return true;
  }

  #listJobs(): readonly PrefillTarget[] {
    const { residents, embeds } = this.#deps;
    return listPrefillJobs(residents, this.#embedsInTurn(embeds));
  }

  /** One embedding at a time, so that their memory is bounded; one that has begun makes way for a better priority only. */
  #embedsInTurn(embeds: ReadonlySet<EmbedTask>): readonly EmbedTask[] {
    const [held] = this.#embedBlocks.keys();
    const [first] = [...embeds].toSorted(compareUrgency);
    if (first === undefined) return [];
    if (held === undefined) return [first];
    if (first.priority >= held.priority) return [held];
    this.forget(held);
    held.restart();
    return [first];
  }

  async #runJob(job: PrefillTarget, tokens: number): Promise<void> {
    switch (job.type) {
      case 'window':
        return this.#runWindow(job.window, job.users, tokens);
      case 'member':
        return this.#prefillMembers(gatherNeighbours(job.sequence, this.#deps.residents.members, tokens), tokens);
      case 'embed':
        return this.#runEmbed(job.task, tokens);
    }
  }

  async #runWindow(window: PrefixWindow, users: readonly Sequence[], tokens: number): Promise<void> {
    const { runner, residents, counters, onPrefixRun, onFailed } = this.#deps;
    this.#announce(users.map(({ request }) => request.id));
    const beforeMs = runner.runMs;
    try {
      const computed = await advanceWindow(runner, residents.windows, window, tokens);
      counters.prefillTokens += computed;
      onPrefixRun(computed, runner.runMs - beforeMs);
    } catch (error) {
      onFailed(users, error);
      return;
    }
    for (const user of users) reportProgress(user);
  }

  async #prefillMembers(members: readonly Sequence[], tokens: number): Promise<void> {
    const step = await this.#runMembers(members, tokens, []);
    this.#deps.counters.prefillTokens += step?.tokens ?? 0;
  }

  /** Null when the run failed. */
  async #runMembers(
    members: readonly Sequence[],
    tokens: number,
    drafts: readonly (readonly number[])[],
  ): Promise<MemberStep | null> {
    const { runner, pages, counters, onFailed } = this.#deps;
    this.#announce(members.map(({ request }) => request.id));
    for (const member of members) counters.cachedTokens += member.settleBill();
    try {
      const step = await advanceMembers(runner, pages, members, tokens, drafts);
      let hasScored = false;
      for (const walk of step.walks) if (this.#takeRows(walk)) hasScored = true;
      if (!hasScored) for (const member of members) reportProgress(member);
      return step;
    } catch (error) {
      onFailed(members, error);
      return null;
    }
  }

  /** Draws from the rows of a walk as far as they go. Returns whether there were any. */
  #takeRows(walk: RowWalk): boolean {
    if (walk.isSpoiled) return false;
    let hasScored = false;
    for (let scored = walk.next(); scored !== null; scored = walk.next()) {
      hasScored = true;
      if (!this.#deps.onScored(scored)) break;
    }
    return hasScored;
  }

  async #runEmbed(task: EmbedTask, tokens: number): Promise<void> {
    const { runner, counters, onEmbedEnd } = this.#deps;
    this.#announce([task.request.id]);
    try {
      counters.prefillTokens += await task.advance(runner, tokens);
      if (task.isDone) onEmbedEnd(task, null);
    } catch (error) {
      onEmbedEnd(task, error);
    }
  }

  /** Memory for the rows of an embedding, before its first run. */
  #hold(task: EmbedTask): boolean {
    const { residents, admission } = this.#deps;
    if (this.#embedBlocks.has(task)) return true;
    while (!residents.reserve(embedOwner, task.blocks)) {
      if (admission.makeWay(task.priority)) continue;
      this.#starved = task;
      return false;
    }
    this.#starved = null;
    this.#embedBlocks.set(task, task.blocks);
    return true;
  }

  #announce(ids: readonly string[]): void {
    this.#deps.counters.runs++;
    const key = ids.join('\n');
    if (key === this.#lastIds) return;
    this.#lastIds = key;
    this.onRun(ids);
  }
}

function outcomeOf({ drafted, accepted, isSpoiled, hasDiffered }: RowWalk): DraftOutcome {
  return { drafted, accepted, end: isSpoiled ? 'spoiled' : hasDiffered ? 'differed' : 'open' };
}
