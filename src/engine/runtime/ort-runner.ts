import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { buildDeepseekV3, prefixInput, suffixInput } from '../model/architectures/deepseek-v3.ts';
import { type AttentionForm, rowStep } from '../model/layers/attention.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import { type LoadedModel, loadModelFolder } from '../model/load-model.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { blockRows, type ModelRunner, type StepInput, type StepOutput, type StepSequence } from '../ports.ts';
import { engineDigest } from './engine-digest.ts';
import { floatTensor, intTensor, type OrtFeeds, type OrtSession, openOrtSession } from './ort-session.ts';
import { longestOf, runInParts } from './run-in-parts.ts';

export interface OrtRunnerOptions {
  /** `full`: float32 arithmetic on the weights as stored. */
  readonly precision: 'full';
  readonly threads: number;
  /** Equal bits for every chunking, neighbour and border of the prefix. @defaultValue true */
  readonly reproducible?: boolean;
  /** Most attention scores of one run; a longer step runs in parts, with the same bits. @defaultValue 2²⁶ */
  readonly maxScores?: number;
}

/** 256 MB; a run holds about four matrices of scores at once. */
const defaultMaxScores = 2 ** 26;

/**
 * Opens a checkpoint folder, or one that is loaded already, for running; its weights are closed either way.
 * Throws `input.model-folder`, `corrupt.safetensors` and `capacity.model-too-large`.
 */
export async function openOrtRunner(model: string | LoadedModel, options: OrtRunnerOptions): Promise<ModelRunner> {
  const { config, weights } = typeof model === 'string' ? await loadModelFolder(model) : model;
  const form = (options.reproducible ?? true) ? 'exact' : 'fast';
  let bytes: Uint8Array;
  try {
    bytes = buildDeepseekV3(config, weights, form);
  } finally {
    weights.close();
  }
  const digest = engineDigest(bytes, options.threads);
  const session = await openOrtSession(bytes, { threads: options.threads });
  return new OrtRunner(config, session, form, digest, options.maxScores ?? defaultMaxScores);
}

class OrtRunner implements ModelRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly hiddenWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  readonly rowStep: number;
  readonly digest: string;
  readonly #session: OrtSession;
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #heads: number;
  readonly #maxScores: number;
  #runMs = 0;

  constructor(config: ModelConfig, session: OrtSession, form: AttentionForm, digest: string, maxScores: number) {
    this.layers = config.layers;
    this.latentWidth = latentWidth(config);
    this.hiddenWidth = config.hiddenWidth;
    this.vocabularySize = config.vocabularySize;
    this.contextTokens = config.contextTokens;
    this.rowStep = rowStep(form);
    this.digest = digest;
    this.#session = session;
    this.#heads = config.heads;
    this.#maxScores = maxScores;
    this.#frequencies = inverseFrequencies(config.rope, config.ropeWidth);
    this.#attentionFactor = config.rope.yarn?.attentionFactor ?? 1;
  }

  get runMs(): number {
    return this.#runMs;
  }

  async run(input: StepInput): Promise<StepOutput> {
    this.#check(input);
    const scoresPerRow = this.#heads * (input.prefixRows + input.suffixRows);
    const rows = Math.max(1, Math.floor(this.#maxScores / scoresPerRow));
    return runInParts(this, input, rows, (part) => this.#runPart(part));
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async #runPart(input: StepInput): Promise<StepOutput> {
    const feeds = this.#buildFeeds(input);
    const startMs = performance.now();
    const { latents, logits, hidden } = await this.#session.run(feeds);
    this.#runMs += performance.now() - startMs;
    return { logits: floatsOf(logits), hidden: floatsOf(hidden), latents: floatsOf(latents) };
  }

  #buildFeeds({ sequences, prefix, prefixRows, suffix, suffixRows, head }: StepInput): OrtFeeds {
    const width = this.latentWidth;
    const total = sequences.length;
    const tokens = longestOf(sequences);
    const pairs = this.#frequencies.length;
    const cos = new Float32Array(total * tokens * pairs);
    const sin = new Float32Array(total * tokens * pairs);
    for (const [index, { start }] of sequences.entries()) {
      const turned = computeRotaryRows(this.#frequencies, this.#attentionFactor, start, tokens);
      cos.set(turned.cos, index * tokens * pairs);
      sin.set(turned.sin, index * tokens * pairs);
    }
    const ids = new BigInt64Array(total * tokens);
    sequences.forEach(({ tokenIds }, index) => {
      for (let at = 0; at < tokenIds.length; at++) ids[index * tokens + at] = BigInt(tokenIds[at] ?? 0);
    });
    const select = selectRows(sequences, tokens);
    const feeds: Record<string, OrtFeeds[string]> = {
      ids: intTensor(ids, [total, tokens]),
      write: intTensor(
        BigInt64Array.from(sequences, ({ start }) => BigInt(start - prefixRows)),
        [total],
      ),
      cos: floatTensor(cos, [total * tokens, pairs]),
      sin: floatTensor(sin, [total * tokens, pairs]),
      select: intTensor(select, [select.length]),
      head: intTensor(BigInt64Array.of(head && select.length > 0 ? 1n : 0n), [1]),
    };
    for (let layer = 0; layer < this.layers; layer++) {
      const shared = view(prefix[layer], prefixRows * width);
      const own = view(suffix[layer], total * suffixRows * width);
      feeds[prefixInput(layer)] = floatTensor(shared, [prefixRows, width]);
      feeds[suffixInput(layer)] = floatTensor(own, [total, suffixRows, width]);
    }
    return feeds;
  }

  #check({ sequences, prefix, prefixRows, suffix, suffixRows }: StepInput): void {
    const tokens = longestOf(sequences);
    invariant(sequences.length > 0 && sequences.every(({ tokenIds }) => tokenIds.length > 0), 'a step has tokens');
    invariant(prefix.length === this.layers && suffix.length === this.layers, 'latents for every layer');
    invariant(prefixRows % blockRows === 0, `prefix of ${prefixRows} rows`);
    invariant(suffixRows > 0 && suffixRows % this.rowStep === 0, `suffix of ${suffixRows} rows`);
    for (const { start, tokenIds, wanted } of sequences) {
      invariant(wanted >= 0 && wanted <= tokenIds.length, `${wanted} rows are wanted of ${tokenIds.length}`);
      const room = prefixRows + suffixRows;
      const fits = prefixRows <= start && start + tokens <= room;
      invariant(fits, `${tokens} rows from ${start}, behind a prefix of ${prefixRows}, room for ${room}`);
      for (let at = 0; at < tokenIds.length; at++) {
        const id = tokenIds[at] ?? -1;
        const isKnown = id >= 0 && id < this.vocabularySize;
        invariant(isKnown, `token id ${id} outside the vocabulary of ${this.vocabularySize}`);
      }
      const end = start + tokenIds.length;
      if (end > this.contextTokens) {
        const what = `${end} tokens exceed the window of ${this.contextTokens}`;
        throw new AppError('input.context-length', what, {
          details: { tokens: end, contextTokens: this.contextTokens },
        });
      }
    }
  }
}

/** Which rows are wanted, numbered over all sequences, each padded to `tokens`. */
function selectRows(sequences: readonly StepSequence[], tokens: number): BigInt64Array {
  const rows = sequences.flatMap(({ tokenIds, wanted }, index) =>
    Array.from({ length: wanted }, (_, at) => BigInt(index * tokens + tokenIds.length - wanted + at)),
  );
  return BigInt64Array.from(rows);
}

function floatsOf(tensor: { readonly data: unknown } | undefined): Float32Array {
  invariant(tensor?.data instanceof Float32Array, 'outputs are float32');
  return tensor.data;
}

function view(values: Float32Array | undefined, length: number): Float32Array {
  invariant(values !== undefined && values.length >= length, `latents hold ${values?.length}, a step reads ${length}`);
  return values.subarray(0, length);
}
