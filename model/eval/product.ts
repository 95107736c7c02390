import { systemClock } from '../../src/base/clock.ts';
import { type LineJournal, parseLineRequest } from '../../src/batch/index.ts';
import { openEngineHost } from '../../src/engine/host.ts';
import type { ModelCard } from '../../src/engine/index.ts';
import { type Generate, LineRunner } from '../../src/pipeline/index.ts';
import type { EvaluationDocument, EvaluationQuestion } from './evaluation-set.ts';

export interface Reply {
  /** The body of a finished analysis; an error's when the line failed. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly isAnswered: boolean;
}

/** The product around a model folder: engine, prompts, constrained answers, tools, checked citations. No queue, no server. */
export class Product {
  readonly card: ModelCard;
  readonly close: () => Promise<void>;
  readonly #runner: LineRunner;
  #asked = 0;

  /** @param generate who writes: an engine, or a recording of one */
  constructor(generate: Generate, card: ModelCard, close: () => Promise<void> = async () => {}) {
    this.card = card;
    this.close = close;
    this.#runner = new LineRunner({
      generate,
      embed: () => Promise.reject(new Error('an evaluation embeds nothing')),
      loadDocument: () => Promise.reject(new Error('documents of an evaluation come with their text')),
      card,
      clock: systemClock,
    });
  }

  /**
   * @param watch stands between prompts and engine
   * @throws as `openEngineHost`
   */
  static async open(
    modelDir: string,
    precision: 'int4' | 'full',
    { threads = 2, watch = (generate: Generate): Generate => generate } = {},
  ): Promise<Product> {
    const host = await openEngineHost({
      modelDir,
      threads,
      reproducible: true,
      precision,
      pageMemoryBytes: 2 ** 28,
      pageDisk: null,
      maxSequences: 8,
      prefillTokens: 512,
      draftTokens: 8,
    });
    const { engine, card } = host;
    const generate: Generate = (request, { onProgress = ignore, onCheckpoint = ignore }) =>
      engine.generate(request, { onProgress, onCheckpoint, onDelta: ignore });
    return new Product(watch(generate), card, () => host.close());
  }

  /** One line of a batch of analyses: greedy, JSON. */
  async ask(document: EvaluationDocument, question: EvaluationQuestion): Promise<Reply> {
    const body = {
      model: this.card.id,
      documents: [{ name: document.name, text: document.text }],
      question: question.question,
      answer: 'json',
      temperature: 0,
      max_completion_tokens: question.tools ? 1_024 : 384,
      ...(question.tools ? { tools: true, max_tool_calls: 4 } : {}),
      ...(question.schema === undefined ? {} : { schema: question.schema }),
    };
    const { statusCode, body: answer } = await this.#runner.run({
      name: `evaluation/${this.#asked++}`,
      tenant: 'default',
      request: parseLineRequest('/v1/analyses', body, [this.card.id]),
      seed: 1,
      priority: 1,
      deadlineMs: null,
      signal: new AbortController().signal,
      onProgress: () => {},
      journal: forgetful,
      openDeltas: null,
    });
    return { body: answer, isAnswered: statusCode === 200 };
  }
}

const ignore = () => {};

/** Nothing is taken up again. */
const forgetful: LineJournal = { claims: 1, find: () => undefined, save: () => {} };
