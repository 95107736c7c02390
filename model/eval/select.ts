import type { EvaluationDocument, EvaluationQuestion, EvaluationSet } from './evaluation-set.ts';

/**
 * Sets with one of the names, or whose name begins so.
 * @param names `all`, or names and beginnings between commas
 * @throws Error naming one that no set answers to
 */
export function chooseSets(sets: readonly EvaluationSet[], names: string): readonly EvaluationSet[] {
  if (names === 'all') return sets;
  const chosen = new Set<EvaluationSet>();
  for (const name of names.split(',').map((one) => one.trim())) {
    const exact = sets.filter((set) => set.name === name);
    const found = exact.length > 0 ? exact : sets.filter((set) => name !== '' && set.name.startsWith(name));
    if (found.length === 0) {
      const known = sets.map((set) => set.name).join(', ');
      throw new Error(`sets has ${JSON.stringify(name)}, allowed: all, or beginnings of ${known}`);
    }
    for (const set of found) chosen.add(set);
  }
  return sets.filter((set) => chosen.has(set));
}

/** At most `most` questions of a set, evenly over its documents and their questions; always the same ones. */
export function thinOut(set: EvaluationSet, most: number): EvaluationSet {
  const questions = set.documents.flatMap((document) => document.questions);
  if (questions.length <= most) return set;
  return keepQuestions(set, new Set(spread(questions, most)));
}

/** `most` items at equal distances, the first one included. */
export function spread<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items;
  return Array.from({ length: most }, (_, index) => items[Math.floor((index * items.length) / most)] as T);
}

/** The set with these questions only; documents that are asked nothing are left out. */
export function keepQuestions(set: EvaluationSet, kept: ReadonlySet<EvaluationQuestion>): EvaluationSet {
  const documents = set.documents.flatMap((document): EvaluationDocument[] => {
    const questions = document.questions.filter((question) => kept.has(question));
    return questions.length === 0 ? [] : [{ ...document, questions }];
  });
  return { ...set, documents };
}
