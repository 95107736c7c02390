import type { Drafter } from '../../src/engine/draft/drafter.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { SeededRandom } from './seeded-random.ts';

export interface DraftTally {
  accepted: number;
  differed: number;
}

/**
 * Drafts the true continuation as far as it is known, of random length, with a wrong token here and there, or nonsense:
 * good and bad guesses alike, for models whose text can be guessed by nobody.
 * @param continuations token logs of whole answers, by the id of the request
 */
export function openScriptedDrafter(
  continuations: ReadonlyMap<string, readonly number[]>,
  seed: number,
  vocabularySize: number,
): Drafter<Sequence> & { readonly tally: DraftTally } {
  const random = new SeededRandom(seed);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const tally = { accepted: 0, differed: 0 };
  return {
    tally,
    draft: ({ members }) =>
      members.map(({ request, answer }) => {
        const known = continuations.get(request.id) ?? [];
        const total = below(10);
        const draft = known.slice(answer.completionTokens, answer.completionTokens + total);
        while (draft.length < total) draft.push(below(vocabularySize));
        if (below(3) === 0 && total > 0) draft[below(total)] = below(vocabularySize);
        return draft;
      }),
    learn: (_, outcomes) => {
      for (const { accepted, end } of outcomes) {
        tally.accepted += accepted;
        if (end === 'differed') tally.differed++;
      }
    },
    remember: () => {},
  };
}
