import { NgramIndex } from '../../src/engine/draft/ngram-index.ts';
import type { Engine } from '../../src/engine/engine.ts';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { SeededRandom } from '../support/seeded-random.ts';

/** What a request is to answer, from which row on. */
export interface Script {
  readonly firstRow: number;
  readonly tokenIds: readonly number[];
}

/** Far above any logit of a model. */
const certain = 1e4;

/**
 * A model that costs what it costs and writes what it is told to: random weights never quote anything. Only the logit of
 * the token that is wanted next is replaced, and that of every wanted row, drafted or not.
 */
export function openScriptedRunner(runner: ModelRunner) {
  const scripts = new Map<string, Script>();
  let running: readonly string[] = [];
  const scripted: ModelRunner = {
    ...runner,
    // getters and methods do not survive a spread
    get runMs() {
      return runner.runMs;
    },
    run: async (input) => {
      const ids = running;
      const output = await runner.run(input);
      let row = 0;
      for (const [index, { start, tokenIds, wanted }] of input.sequences.entries()) {
        const script = scripts.get(ids[index] ?? '');
        for (let at = tokenIds.length - wanted; at < tokenIds.length; at++, row++) {
          const id = script?.tokenIds[start + at + 1 - script.firstRow];
          if (id !== undefined) output.logits[row * runner.vocabularySize + id] = certain;
        }
      }
      return output;
    },
    close: () => runner.close(),
  };
  const follow = (engine: Engine): void => {
    engine.onRun((ids) => {
      running = ids;
    });
  };
  return { runner: scripted, scripts, follow };
}

/** Own words, drawn from those of the document, and quotes of 20 to 60 tokens; about `share` of the tokens are quoted. */
export function writeQuotes(document: readonly number[], total: number, share: number, seed: number): number[] {
  const random = new SeededRandom(seed);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const answer: number[] = [];
  for (let part = 0; answer.length < total; part++) {
    const quoted = 20 + below(41);
    const between = share === 0 ? total : Math.round((quoted * (1 - share)) / share);
    // answers begin with own words, each with another number of them
    const own = part === 0 ? 3 + below(between) : between;
    for (let count = 0; count < own; count++) answer.push(document[below(document.length)] ?? 0);
    const start = below(document.length - quoted);
    if (share > 0) answer.push(...document.slice(start, start + quoted));
  }
  return answer.slice(0, total);
}

/**
 * The worst case: what the look-up finds is always there and never right, wherever the document leaves a choice.
 * @param prompt with the document in it; the answer has tokens of the document only
 */
export function writeTraps(
  prompt: readonly number[],
  document: readonly number[],
  total: number,
  seed: number,
): number[] {
  const random = new SeededRandom(seed);
  const texts = new Set(document);
  const followers = new Map<number, number[]>();
  for (let at = 1; at < prompt.length; at++) {
    const before = prompt[at - 1] ?? 0;
    followers.set(before, [...(followers.get(before) ?? []), prompt[at] ?? 0]);
  }
  const tokens = [...prompt];
  const index = new NgramIndex(prompt.length);
  while (tokens.length < prompt.length + total) {
    const match = index.find(tokens);
    const guessed = match === null ? -1 : tokens[match.start];
    const wrong = (followers.get(tokens.at(-1) ?? 0) ?? []).filter((id) => id !== guessed && texts.has(id));
    const others = wrong.length > 0 ? wrong : document.filter((id) => id !== guessed);
    tokens.push(others[Math.floor(random.next() * others.length)] ?? 0);
  }
  return tokens.slice(prompt.length);
}
