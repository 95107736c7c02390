import { DraftChances } from './draft-chances.ts';
import type { Drafter, DraftOutcome, DraftRun, DraftSource } from './drafter.ts';
import { type Match, NgramIndex, readOn } from './ngram-index.ts';
import { RecentAnswers } from './recent-answers.ts';
import { RunCost } from './run-cost.ts';

/** Of one sequence. */
interface Lookup {
  /** Earlier answers of the tenant, then prompt and answer: of equal matches the latest counts, so the request's own. */
  readonly text: number[];
  readonly earlierTokens: number;
  readonly index: NgramIndex;
  readonly chances: DraftChances;
  match: Match | null;
  /** A draft of its own has spoiled a run. */
  isBarred: boolean;
}

interface Candidate {
  readonly lookup: Lookup;
  readonly pending: number;
  readonly chance: number;
  readonly most: number;
}

/** A draft must promise so much more tokens a millisecond than none. */
const leastGain = 1.04;
/** After so many matches that did not pay one token is drafted all the same, since the text may have changed. */
const retryRuns = 64;

/**
 * Drafts what followed when the last tokens stood earlier in the prompt, the answer or one that the tenant was given
 * before: answers quote their sources, and are formed alike.
 * How many tokens is one number for the whole run, since shorter sequences are padded to the longest: the one that
 * promises the most tokens a millisecond, by the chances of the matches and the measured cost of rows.
 */
export class LookupDrafter<Source extends DraftSource> implements Drafter<Source> {
  readonly #mostTokens: number;
  readonly #lookups = new WeakMap<Source, Lookup>();
  readonly #recent = new RecentAnswers();
  /** Of all sequences together: what a new one begins with. */
  readonly #chances = new DraftChances({ kept: 0.95, firstWeight: 4 });
  /** By the power of two of the rows that are read. */
  readonly #costs = new Map<number, RunCost>();
  /** Runs since the last one with a draft in which there was a match. */
  #passedRuns = 0;

  /** @param mostTokens of a sequence and run */
  constructor(mostTokens: number) {
    this.#mostTokens = mostTokens;
  }

  draft(run: DraftRun<Source>): readonly (readonly number[])[] {
    const candidates = run.members.map((member) => this.#findCandidate(member));
    const width = this.#chooseWidth(run, candidates);
    return candidates.map(({ lookup: { text, match }, pending, most }) =>
      match === null ? [] : readOn(text, match.start, Math.max(0, Math.min(most, width - pending))),
    );
  }

  learn(run: DraftRun<Source>, outcomes: readonly DraftOutcome[], rows: number, ms: number): void {
    this.#costOf(run).note(rows, ms);
    for (const [index, member] of run.members.entries()) {
      const { drafted = 0, accepted = 0, end } = outcomes[index] ?? {};
      const lookup = this.#lookups.get(member);
      if (drafted === 0 || lookup === undefined) continue;
      if (end === 'spoiled') lookup.isBarred = true;
      else lookup.chances.note(lookup.match?.length ?? 0, accepted, end === 'differed');
    }
  }

  remember({ tenant, tokens, promptTokens }: Source): void {
    this.#recent.add(tenant, tokens.slice(promptTokens));
  }

  #findCandidate(member: Source): Candidate {
    const lookup = this.#lookups.get(member) ?? this.#openLookup(member);
    const { text, earlierTokens } = lookup;
    for (let at = text.length - earlierTokens; at < member.tokens.length; at++) text.push(member.tokens[at] ?? 0);
    // no row is needed of the last token of an answer
    const most = Math.min(this.#mostTokens, member.answer.remainingTokens - 1);
    lookup.match = lookup.isBarred || most < 1 ? null : lookup.index.find(text);
    const chance = lookup.match === null ? 0 : lookup.chances.of(lookup.match.length);
    return { lookup, pending: member.pendingTotal, chance, most };
  }

  #openLookup(member: Source): Lookup {
    const text = [...this.#recent.of(member.tenant)];
    const lookup: Lookup = {
      text,
      earlierTokens: text.length,
      index: new NgramIndex(text.length + member.tokens.length),
      chances: new DraftChances({ kept: 0.9, firstWeight: 1, parent: this.#chances }),
      match: null,
      isBarred: false,
    };
    this.#lookups.set(member, lookup);
    return lookup;
  }

  /** Rows of the longest member, drafts included. */
  #chooseWidth(run: DraftRun<Source>, candidates: readonly Candidate[]): number {
    const pending = Math.max(...candidates.map((candidate) => candidate.pending));
    if (candidates.every(({ lookup }) => lookup.match === null)) return pending;
    const cost = this.#costOf(run);
    const gainOf = (width: number): number => {
      const tokens = candidates.reduce((sum, candidate) => sum + expectedTokens(candidate, width), 0);
      return tokens / cost.of(width * candidates.length);
    };
    let best = pending;
    let bestGain = gainOf(pending) * leastGain;
    const widest = pending + this.#mostTokens;
    for (let width = pending + 1; width <= widest; width++) {
      const gain = gainOf(width);
      if (gain > bestGain) [best, bestGain] = [width, gain];
    }
    this.#passedRuns = best > pending ? 0 : this.#passedRuns + 1;
    if (this.#passedRuns < retryRuns || widest === pending) return best;
    this.#passedRuns = 0;
    return pending + 1;
  }

  #costOf({ readRows }: DraftRun<Source>): RunCost {
    const key = Math.round(Math.log2(Math.max(1, readRows)));
    let cost = this.#costs.get(key);
    if (cost === undefined) {
      cost = new RunCost();
      this.#costs.set(key, cost);
    }
    return cost;
  }
}

/** Tokens that a member gains by a run of this width: one, and each drafted one if those before it are right. */
function expectedTokens({ lookup, pending, chance, most }: Candidate, width: number): number {
  if (lookup.match === null) return 1;
  const drafted = Math.max(0, Math.min(most, width - pending));
  // 1 + c + c² + … + c^drafted
  return chance === 1 ? 1 + drafted : (1 - chance ** (drafted + 1)) / (1 - chance);
}
