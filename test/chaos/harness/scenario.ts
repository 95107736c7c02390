import type { SeededRandom } from '../../support/seeded-random.ts';
import { ChaosStack, type ChaosStackOptions } from './chaos-stack.ts';

/** What the command line asks for. */
export interface ScenarioContext {
  /** Lines of the batch; null: as many as the scenario needs. */
  readonly lines: number | null;
  readonly kills: number | null;
  /** No more kills after so long; what is left of the batch goes on. Absent: as long as it takes. */
  readonly minutes?: number | null;
  readonly random: SeededRandom;
}

/** What a scenario came to; one row of the table. */
export interface Outcome {
  readonly kills: number;
  /** Kills at a moment when tokens were produced. */
  readonly producingKills: number;
  readonly lines: number;
  /** Lines in no result file. */
  readonly lost: number;
  /** Lines that are more than once in the result files. */
  readonly doubled: number;
  /** Tokens produced that are in no answer. */
  readonly wastedTokens: number;
  /** Longest time from a kill to the first token after it; null: no kill, or no token was wanted after it. */
  readonly recoverySeconds: number | null;
  /** What must not be: each is one sentence. None: the scenario passes. */
  readonly problems: readonly string[];
}

export interface Scenario {
  /** As in `ratchet.json`. */
  readonly name: string;
  /** What goes wrong, and what must hold. */
  readonly about: string;
  run(context: ScenarioContext): Promise<Outcome>;
}

/** Runs on a stack of its own; processes that outlive it are a problem of the scenario. */
export async function onStack(
  options: ChaosStackOptions,
  run: (chaos: ChaosStack) => Promise<Outcome>,
): Promise<Outcome> {
  const chaos = await ChaosStack.start(options);
  let outcome: Outcome;
  try {
    outcome = await run(chaos);
  } catch (error) {
    await chaos.close();
    throw error;
  }
  const left = await chaos.close();
  return { ...outcome, problems: [...outcome.problems, ...left.map((line) => `process left: ${line}`)] };
}

/** A kill after which nothing was left to do proves nothing. */
export function requireRecovery(outcome: Outcome): Outcome {
  if (outcome.recoverySeconds !== null) return outcome;
  return { ...outcome, problems: [...outcome.problems, 'no token was produced after the kill'] };
}

/** What several batches of one scenario came to together. */
export function joinOutcomes(outcomes: readonly Outcome[]): Outcome {
  const total = (pick: (outcome: Outcome) => number): number => outcomes.reduce((sum, one) => sum + pick(one), 0);
  const seconds = outcomes.flatMap(({ recoverySeconds }) => (recoverySeconds === null ? [] : [recoverySeconds]));
  return {
    kills: total(({ kills }) => kills),
    producingKills: total(({ producingKills }) => producingKills),
    lines: total(({ lines }) => lines),
    lost: total(({ lost }) => lost),
    doubled: total(({ doubled }) => doubled),
    wastedTokens: total(({ wastedTokens }) => wastedTokens),
    recoverySeconds: seconds.length === 0 ? null : Math.max(...seconds),
    problems: outcomes.flatMap(({ problems }) => problems),
  };
}
