import { type EngineHost, openEngineHost } from '../../../src/engine/host.ts';
import type { GenerateResult } from '../../../src/engine/index.ts';
import { generateRequest } from '../../support/test-engine.ts';
import type { BenchEngine, QuestionsTime } from './measure.ts';
import { type BenchPrompt, lastOwn, type PromptWriter } from './prompts.ts';
import type { DecodeRow, PrefillRow, QuestionsRow } from './rows.ts';

export interface QuireSettings {
  readonly folder: string;
  readonly threads: number;
  readonly reproducible: boolean;
  readonly precision: 'full' | 'int4';
}

const gibibyte = 2 ** 30;

/** quire's engine in this process, through the door that the product uses. */
export class QuireEngine implements BenchEngine {
  readonly #host: EngineHost;
  readonly #prompts: PromptWriter;
  readonly #stopId: number;
  #requests = 0;
  /** The document that was read last, by its length and the round it was written in. */
  #known: { readonly tokens: number; readonly document: number } | null = null;

  constructor(host: EngineHost, prompts: PromptWriter, stopId: number) {
    this.#host = host;
    this.#prompts = prompts;
    this.#stopId = stopId;
  }

  async prefill({ promptTokens }: PrefillRow, round: number): Promise<number> {
    const prompt = this.#prompts.write(0, promptTokens, round, round);
    const { firstMs, startMs } = await this.#ask(prompt, round, 1);
    return firstMs - startMs;
  }

  async decode(work: DecodeRow, round: number): Promise<readonly (readonly number[])[]> {
    const { sequences, prefixTokens, ownTokens, answerTokens } = work;
    const isKnown = prefixTokens > 0 && this.#known?.tokens === prefixTokens;
    const document = isKnown ? (this.#known?.document ?? round) : round;
    const isCopied = prefixTokens === 0 && ownTokens > 2 * lastOwn;
    // questions of a round of its own, so that none was asked before
    const write = (question: number) =>
      isCopied
        ? this.#prompts.writeOwn(ownTokens, document, 1000 * round + question)
        : this.#prompts.write(prefixTokens, ownTokens, document, 1000 * round + question);
    const isWarm = prefixTokens > 0 || isCopied;
    // what is known then is read by a question that is not measured
    if (isWarm && !isKnown) await this.#ask(write(sequences), document, 1, false);
    if (prefixTokens > 0) this.#known = { tokens: prefixTokens, document };
    const prompts = Array.from({ length: sequences }, (_, question) => write(question));
    const answers = await Promise.all(prompts.map((prompt) => this.#ask(prompt, document, answerTokens, isWarm)));
    return answers.map(({ tokenMs }) => tokenMs);
  }

  async questions(work: QuestionsRow, round: number): Promise<QuestionsTime> {
    const { questions, documentTokens, questionTokens, writtenTokens } = work;
    const prompts = Array.from({ length: questions }, (_, question) =>
      this.#prompts.write(documentTokens, questionTokens, round, 1000 * round + question),
    );
    const startMs = performance.now();
    const answers = await Promise.all(prompts.map((prompt) => this.#ask(prompt, round, writtenTokens, null)));
    this.#known = { tokens: documentTokens, document: round };
    // a little late: the first question behind the document is read too
    const readMs = Math.min(...answers.map(({ firstMs }) => firstMs)) - startMs;
    return { startMs, tokenMs: answers.map(({ tokenMs }) => tokenMs), readMs };
  }

  async close(): Promise<void> {
    await this.#host.close();
  }

  /** @param isWarm whether the prefix is known; null: it depends on who comes first */
  async #ask(prompt: BenchPrompt, document: number, maxTokens: number, isWarm: boolean | null = false) {
    const tokenMs: number[] = [];
    const { messages, sharedMessages } = prompt;
    const request = generateRequest(`bench-${this.#requests++}`, {
      tenant: `document-${document}`,
      messages,
      sharedMessages,
      maxTokens,
      sampling: { ...generateRequest('').sampling, logitBias: [[this.#stopId, -100]] },
    });
    const startMs = performance.now();
    const result = await this.#host.engine.generate(request, {
      onDelta: () => {},
      onCheckpoint: () => {},
      onProgress: ({ completionTokens }) => {
        while (tokenMs.length < completionTokens) tokenMs.push(performance.now());
      },
    });
    while (tokenMs.length < result.completionTokens) tokenMs.push(performance.now());
    checkAnswer(result, prompt, maxTokens, isWarm);
    return { startMs, firstMs: tokenMs[0] ?? Number.NaN, tokenMs };
  }
}

function checkAnswer(result: GenerateResult, prompt: BenchPrompt, maxTokens: number, isWarm: boolean | null): void {
  const { promptTokens, cachedTokens, completionTokens } = result;
  const wrong: string[] = [];
  if (promptTokens !== prompt.ids.length) wrong.push(`${promptTokens} prompt tokens, wanted ${prompt.ids.length}`);
  if (completionTokens !== maxTokens) wrong.push(`${completionTokens} tokens of answer, wanted ${maxTokens}`);
  if (isWarm === false && cachedTokens > 0) wrong.push(`${cachedTokens} tokens were known before`);
  if (isWarm === true && cachedTokens === 0) wrong.push('nothing was known before');
  if (wrong.length > 0) throw new Error(`not the work that was to be measured: ${wrong.join(', ')}`);
}

export async function openQuireEngine(
  settings: QuireSettings,
  prompts: PromptWriter,
  stopId: number,
): Promise<QuireEngine> {
  const host = await openEngineHost({
    modelDir: settings.folder,
    threads: settings.threads,
    reproducible: settings.reproducible,
    precision: settings.precision,
    pageMemoryBytes: 4 * gibibyte,
    // the peer writes nothing either
    pageDisk: null,
    maxSequences: 64,
    prefillTokens: 256,
    // the answers of random weights repeat themselves: guessing would look better than it is
    draftTokens: 0,
  });
  return new QuireEngine(host, prompts, stopId);
}
