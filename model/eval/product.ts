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

export type Precision = 'int4' | 'full';

export interface ProductOptions {
  readonly threads?: number;
  /** False: every prompt is read from its first token. @defaultValue true */
  readonly prefixCache?: boolean;
  /** Stands between prompts and engine. */
  readonly watch?: (generate: Generate) => Generate;
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

  /** @throws as `openEngineHost` */
  static async open(
    modelDir: string,
    precision: Precision,
    { threads = 2, prefixCache = true, watch = (generate) => generate }: ProductOptions = {},
  ): Promise<Product> {
    const host = await openEngineHost({
      modelDir,
      threads,
      reproducible: true,
      precision,
      prefixCache,
      pageMemoryBytes: 2 ** 28,
      pageDisk: null,
      maxSequences: 12,
      prefillTokens: 512,
      draftTokens: 8,
    });
    const { engine, card } = host;
    const generate: Generate = (request, { onProgress = ignore, onCheckpoint = ignore }) =>
      engine.generate(request, { onProgress, onCheckpoint, onDelta: ignore });
    return new Product(watch(generate), card, () => host.close());
  }

  /**
   * One line of a batch of analyses: greedy, JSON.
   * @param reflect the answer is a draft, which the model checks
   */
  async ask(document: EvaluationDocument, question: EvaluationQuestion, { reflect = false } = {}): Promise<Reply> {
    const { tokens, calls } = roomFor(question);
    const body = {
      model: this.card.id,
      documents: [{ name: document.name, text: document.text }],
      question: question.question,
      answer: 'json',
      temperature: 0,
      // draft and check share their tokens
      max_completion_tokens: reflect ? 2 * tokens : tokens,
      ...(question.tools ? { tools: true, max_tool_calls: calls } : {}),
      ...(reflect ? { reflect: true } : {}),
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

/** What asks for several facts reads and quotes each of them, a sum looks them up one by one. */
const severalFacts = new Set(['compare', 'count', 'sum', 'list', 'key facts', 'multi-hop', 'difference']);

function roomFor({ kind, tools }: EvaluationQuestion): { tokens: number; calls: number } {
  const isSeveral = severalFacts.has(kind);
  return { tokens: (tools ? 1_024 : 384) * (isSeveral ? 1.5 : 1), calls: isSeveral ? 8 : 4 };
}

const ignore = () => {};

/** Nothing is taken up again. */
const forgetful: LineJournal = { claims: 1, find: () => undefined, save: () => {} };
