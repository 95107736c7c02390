import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Llama, type LlamaContext, type LlamaModel, type LlamaSequence, openLlama } from './llama-peer.ts';
import type { BenchEngine, QuestionsTime } from './measure.ts';
import { lastOwn, type PromptWriter } from './prompts.ts';
import type { DecodeRow, PrefillRow, QuestionsRow } from './rows.ts';

export interface LlamaSettings {
  readonly file: string;
  readonly threads: number;
  readonly flashAttention: boolean;
}

/** Tokens of one run: the package's default. */
const batchTokens = 512;
const greedy = { temperature: 0, yieldEogToken: true } as const;

/**
 * node-llama-cpp as its users have it: a context of so many sequences, each with a cache of its own; a prefix is read
 * once and brought to the other sequences by a state file, since there is no other public way.
 */
export class LlamaEngine implements BenchEngine {
  readonly #llama: Llama;
  readonly #model: LlamaModel;
  readonly #settings: LlamaSettings;
  readonly #prompts: PromptWriter;
  /** The prefix whose state is in the file: it can be loaded only where there are as many sequences. */
  #kept: { readonly tokens: number; readonly sequences: number } | null = null;
  readonly #folder = mkdtempSync(join(tmpdir(), 'quire-peer-state-'));

  constructor(llama: Llama, model: LlamaModel, settings: LlamaSettings, prompts: PromptWriter) {
    this.#llama = llama;
    this.#model = model;
    this.#settings = settings;
    this.#prompts = prompts;
  }

  async prefill({ promptTokens }: PrefillRow, round: number): Promise<number> {
    const { ids } = this.#prompts.write(0, promptTokens, round, round);
    return this.#within(1, promptTokens + 1, async ([sequence]) => {
      const startMs = performance.now();
      const [firstMs = Number.NaN] = await answer(sequence, ids, 1);
      return firstMs - startMs;
    });
  }

  async decode(work: DecodeRow, round: number): Promise<readonly (readonly number[])[]> {
    const { sequences, prefixTokens, ownTokens, answerTokens } = work;
    // a long part of its own is read once and copied too: the caches are apart all the same
    const isCopied = prefixTokens === 0 && ownTokens > 2 * lastOwn;
    const prompts = Array.from({ length: sequences }, (_, question) =>
      isCopied
        ? this.#prompts.writeOwn(ownTokens, round, question)
        : this.#prompts.write(prefixTokens, ownTokens, round, question),
    );
    const given = isCopied ? ownTokens - lastOwn : prefixTokens;
    // a state is known only to contexts of as many sequences; those that are not used cost memory only
    const places = given > 0 && this.#kept?.tokens === given ? Math.max(sequences, this.#kept.sequences) : sequences;
    return this.#within(places, prefixTokens + ownTokens + answerTokens, async (held) => {
      const all = held.slice(0, sequences);
      if (given > 0) await this.#share(all, held.length, prompts[0]?.ids.slice(0, given) ?? []);
      const own = prompts.map(({ ids }) => ids.slice(given));
      return Promise.all(all.map((sequence, index) => answer(sequence, own[index] ?? [], answerTokens)));
    });
  }

  async questions(work: QuestionsRow, round: number): Promise<QuestionsTime> {
    const { questions, documentTokens, questionTokens, answerTokens, writtenTokens } = work;
    const prompts = Array.from({ length: questions }, (_, question) =>
      this.#prompts.write(documentTokens, questionTokens, round, question),
    );
    this.#kept = null;
    return this.#within(questions, documentTokens + questionTokens + answerTokens, async (all) => {
      const startMs = performance.now();
      const readMs = await this.#share(all, all.length, prompts[0]?.ids.slice(0, documentTokens) ?? []);
      const own = prompts.map(({ ids }) => ids.slice(documentTokens));
      const tokenMs = await Promise.all(
        all.map((sequence, index) => answer(sequence, own[index] ?? [], writtenTokens)),
      );
      return { startMs, tokenMs, readMs };
    });
  }

  async close(): Promise<void> {
    await this.#llama.dispose();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A context of its own, so that no work finds another's cache. */
  async #within<Result>(
    sequences: number,
    tokens: number,
    run: (all: readonly LlamaSequence[]) => Promise<Result>,
  ): Promise<Result> {
    const { threads, flashAttention } = this.#settings;
    const context = await this.#model.createContext({
      // one more, or the package shifts the context while it writes the last token
      contextSize: Math.ceil((tokens + 1) / 256) * 256,
      sequences,
      batchSize: batchTokens,
      threads,
      flashAttention,
    });
    try {
      checkContext(context, flashAttention);
      return await run(Array.from({ length: sequences }, () => context.getSequence()));
    } finally {
      await context.dispose();
    }
  }

  /**
   * The first sequence reads the prefix, the others load its state; all of them when one of that length was read before:
   * its words make no difference to the speed. Returns the milliseconds of the reading.
   * @param places sequences of the context, used or not
   */
  async #share(all: readonly LlamaSequence[], places: number, ids: readonly number[]): Promise<number> {
    const file = join(this.#folder, 'prefix');
    const isKept = this.#kept?.tokens === ids.length && this.#kept.sequences === places;
    const startMs = performance.now();
    if (!isKept) await all[0]?.evaluateWithoutGeneratingNewTokens(ids);
    const readMs = performance.now() - startMs;
    if (!isKept) await all[0]?.saveStateToFile(file);
    this.#kept = { tokens: ids.length, sequences: places };
    for (const other of isKept ? all : all.slice(1)) await other.loadStateFromFile(file, { acceptRisk: true });
    return readMs;
  }
}

function checkContext({ batchSize, flashAttention }: LlamaContext, wanted: boolean): void {
  if (flashAttention !== wanted) throw new Error(`flash attention is ${flashAttention}, wanted ${wanted}`);
  if (batchSize !== batchTokens) throw new Error(`runs of ${batchSize} tokens, wanted ${batchTokens}`);
}

/** When each token came. */
async function answer(
  sequence: LlamaSequence | undefined,
  ids: readonly number[],
  tokens: number,
): Promise<readonly number[]> {
  const tokenMs: number[] = [];
  if (sequence === undefined) return tokenMs;
  for await (const _ of sequence.evaluate(ids, greedy)) {
    tokenMs.push(performance.now());
    if (tokenMs.length === tokens) break;
  }
  if (tokenMs.length !== tokens) throw new Error(`${tokenMs.length} tokens of answer, wanted ${tokens}`);
  return tokenMs;
}

export async function openLlamaEngine(settings: LlamaSettings, prompts: PromptWriter): Promise<LlamaEngine> {
  const llama = await openLlama(settings.threads);
  const model = await llama.loadModel({ modelPath: settings.file, gpuLayers: 0, useMmap: false });
  return new LlamaEngine(llama, model, settings, prompts);
}
