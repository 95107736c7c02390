import { type CacheCheck, compareReplies, usageOf } from './cached.ts';
import { type Answered, type Ask, evaluateSet, type SetScores } from './evaluate.ts';
import type { EvaluationQuestion, EvaluationSet } from './evaluation-set.ts';
import type { Options } from './options.ts';
import { type Paired, pair } from './paired.ts';
import type { Precision, Product, ProductOptions } from './product.ts';
import { keepQuestions, spread } from './select.ts';
import { percent } from './table.ts';

/** All that was asked, and how long it took. */
export interface Results {
  readonly model: { readonly id: string; readonly digest: string };
  readonly sets: readonly SetScores[];
  readonly precision: Paired | null;
  readonly reflection: Paired | null;
  readonly cache: CacheCheck | null;
  readonly cost: Cost;
}

export interface Cost {
  readonly seconds: number;
  readonly processorSeconds: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** Long documents that are read whole cost most, and precision shows on short ones as well. */
const leftOutOfComparison = new Set(['4K', '16K', '32K']);
/** Documents of which at least a page is kept, so that a further question has something to take. */
const cachedGoals = new Set(['1K', '4K']);

/** Opens the product around the options' model. */
export type OpenProduct = (
  precision: Precision,
  options: ProductOptions,
) => Promise<Pick<Product, 'card' | 'ask' | 'close'>>;
type OpenedProduct = Awaited<ReturnType<OpenProduct>>;

/** One run of `npm run eval`: opens the product as often as it takes, one at a time. */
export class Session {
  readonly #options: Options;
  readonly #sets: readonly EvaluationSet[];
  readonly #open: OpenProduct;
  readonly #say: (line: string) => void;
  readonly #onAnswer: (answered: Answered) => void;
  readonly #bodies: Answered['reply']['body'][] = [];
  #model = { id: '', digest: '' };

  constructor(
    options: Options,
    sets: readonly EvaluationSet[],
    open: OpenProduct,
    say: (line: string) => void,
    onAnswer: (answered: Answered) => void = () => {},
  ) {
    this.#options = options;
    this.#sets = sets;
    this.#open = open;
    this.#say = say;
    this.#onAnswer = onAnswer;
  }

  /** @throws what opens no model, and what keeps a line from being answered at all */
  async run(): Promise<Results> {
    const [started, before] = [performance.now(), process.cpuUsage()];
    const { precision } = this.#options;
    const first = await this.#withProduct(precision, {}, async (product) => {
      const sets = await this.#evaluateAll(precision, this.#sets, product);
      const reflection = await this.#reflect(sets, product);
      return { sets, reflection, again: await this.#askForCache(product) };
    });
    const cache = await this.#askUncached(first.again);
    const compared = await this.#comparePrecisions(first.sets);
    const { user, system } = process.cpuUsage(before);
    return {
      model: this.#model,
      sets: first.sets,
      reflection: first.reflection,
      cache,
      precision: compared,
      cost: {
        seconds: Math.round((performance.now() - started) / 1_000),
        processorSeconds: Math.round((user + system) / 1e6),
        ...addUsage(this.#bodies),
      },
    };
  }

  async #withProduct<T>(
    precision: Precision,
    options: ProductOptions,
    use: (product: OpenedProduct) => Promise<T>,
  ): Promise<T> {
    const product = await this.#open(precision, { ...options, threads: this.#options.threads });
    try {
      this.#model = { id: product.card.id, digest: product.card.digest };
      return await use(product);
    } finally {
      await product.close();
    }
  }

  async #evaluateAll(
    label: string,
    sets: readonly EvaluationSet[],
    product: OpenedProduct,
    reflect = false,
  ): Promise<readonly SetScores[]> {
    const done: SetScores[] = [];
    const ask: Ask = async (document, question) => {
      const reply = await product.ask(document, question, { reflect });
      this.#bodies.push(reply.body);
      return reply;
    };
    for (const set of sets) {
      const started = performance.now();
      const scores = await evaluateSet(ask, set, this.#onAnswer);
      done.push(scores);
      const seconds = ((performance.now() - started) / 1_000).toFixed(1);
      const { answers } = scores;
      const exact = answers.filter(({ score }) => score.isExact).length / Math.max(answers.length, 1);
      this.#say(`${label}: ${set.name}: ${answers.length} questions, ${percent(exact)} exact, ${seconds} s`);
    }
    return done;
  }

  async #reflect(sets: readonly SetScores[], product: OpenedProduct): Promise<Paired | null> {
    const set = this.#sets.find(({ name }) => name === this.#options.reflect);
    if (set === undefined) return null;
    const [after] = await this.#evaluateAll('with reflection', [set], product, true);
    const before = sets.find(({ name }) => name === set.name);
    return after === undefined || before === undefined
      ? null
      : pair(`${set.name}: without and with reflection`, before.answers, after.answers);
  }

  /** Each document is read once more first: other sets may have taken the room of its pages since. */
  async #askForCache(product: OpenedProduct): Promise<readonly Again[]> {
    const places = this.#sets
      .filter(({ goal }) => cachedGoals.has(goal))
      .flatMap(({ documents }) => documents.map((document) => ({ document, question: document.questions[0] })));
    const again: Again[] = [];
    for (const { document, question } of spread(places, this.#options.cached)) {
      if (question === undefined) continue;
      await product.ask(document, question);
      again.push({ document, question, cached: await product.ask(document, question) });
    }
    return again;
  }

  async #askUncached(again: readonly Again[]): Promise<CacheCheck | null> {
    if (again.length === 0) return null;
    const { precision } = this.#options;
    return this.#withProduct(precision, { prefixCache: false }, async (product) => {
      const asked: (Again & { readonly uncached: Again['cached'] })[] = [];
      for (const one of again) asked.push({ ...one, uncached: await product.ask(one.document, one.question) });
      const check = compareReplies(asked);
      this.#say(`without cached pages: ${check.questions} questions, ${check.identical} answered in the same words`);
      return check;
    });
  }

  async #comparePrecisions(done: readonly SetScores[]): Promise<Paired | null> {
    const { precision, comparedPrecision, compared } = this.#options;
    if (comparedPrecision === null || compared === 0) return null;
    const places = this.#sets.filter(({ goal }) => !leftOutOfComparison.has(goal));
    const questions = places.flatMap(({ documents }) => documents.flatMap((document) => document.questions));
    const kept: ReadonlySet<EvaluationQuestion> = new Set(spread(questions, compared));
    const sets = places.map((set) => keepQuestions(set, kept)).filter(({ documents }) => documents.length > 0);
    if (sets.length === 0) return null;
    const answers = await this.#withProduct(comparedPrecision, {}, async (product) =>
      (await this.#evaluateAll(comparedPrecision, sets, product)).flatMap((set) => set.answers),
    );
    const others = done.flatMap((set) => set.answers).filter(({ question }) => kept.has(question));
    const [full, int4] = precision === 'full' ? [others, answers] : [answers, others];
    return pair('full precision and INT4', full, int4);
  }
}

type Again = {
  readonly document: EvaluationSet['documents'][number];
  readonly question: EvaluationQuestion;
  readonly cached: Answered['reply'];
};

function addUsage(bodies: readonly Answered['reply']['body'][]): Omit<Cost, 'seconds' | 'processorSeconds'> {
  const usages = bodies.map(usageOf);
  const total = (of: (usage: (typeof usages)[number]) => number): number =>
    usages.reduce((sum, usage) => sum + of(usage), 0);
  return {
    promptTokens: total(({ prompt }) => prompt),
    cachedTokens: total(({ cached }) => cached),
    completionTokens: total(({ completion }) => completion),
  };
}
