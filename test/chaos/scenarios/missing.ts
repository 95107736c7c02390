import { env } from '../../../src/base/env.contract.ts';
import type { Outcome, Scenario } from '../harness/scenario.ts';

const nothing = { kills: 0, producingKills: 0, lines: 0, lost: 0, doubled: 0, wastedTokens: 0, recoverySeconds: null };

/** Fails until the product has a setting that looks like the feature's; then the scenario must be written out. */
function lacking(name: string, about: string, setting: RegExp): Scenario {
  return {
    name,
    about,
    run: async (): Promise<Outcome> => {
      const found = Object.values(env).filter((variable) => setting.test(variable));
      const problem =
        found.length === 0 ? 'there is no such feature' : `${found.join(', ')} is there, its scenario is not`;
      return { ...nothing, problems: [problem] };
    },
  };
}

/** Scenarios of features that the product does not have yet; the ratchet names them as broken. */
export const missingScenarios: readonly Scenario[] = [
  lacking(
    'budget_hit_mid_batch',
    'the token budget of a batch is spent in the middle: what is finished stays',
    /BUDGET/,
  ),
];
