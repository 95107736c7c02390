import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { buildDeepseekV3, prefixInput, suffixInput } from '../model/architectures/deepseek-v3.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import { type LoadedModel, loadModelFolder } from '../model/load-model.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { blockRows, type ModelRunner, type StepInput, type StepOutput } from '../ports.ts';
import { floatTensor, intTensor, type OrtFeeds, type OrtSession, openOrtSession } from './ort-session.ts';

export interface OrtRunnerOptions {
  /** `full`: float32 arithmetic on the weights as stored. */
  readonly precision: 'full';
  readonly threads: number;
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
  let bytes: Uint8Array;
  try {
    bytes = buildDeepseekV3(config, weights);
  } finally {
    weights.close();
  }
  const session = await openOrtSession(bytes, { threads: options.threads });
  return new OrtRunner(config, session, options.maxScores ?? defaultMaxScores);
}

class OrtRunner implements ModelRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  readonly #session: OrtSession;
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #heads: number;
  readonly #maxScores: number;

  constructor(config: ModelConfig, session: OrtSession, maxScores: number) {
    this.layers = config.layers;
    this.latentWidth = latentWidth(config);
    this.vocabularySize = config.vocabularySize;
    this.contextTokens = config.contextTokens;
    this.#session = session;
    this.#heads = config.heads;
    this.#maxScores = maxScores;
    this.#frequencies = inverseFrequencies(config.rope, config.ropeWidth);
    this.#attentionFactor = config.rope.yarn?.attentionFactor ?? 1;
  }

  async run(input: StepInput): Promise<StepOutput> {
    this.#check(input);
    const { tokenIds, start, prefixRows } = input;
    const keys = prefixRows + wholeBlocks(start + tokenIds.length - prefixRows);
    const partRows = Math.max(1, Math.floor(this.#maxScores / (this.#heads * keys)));
    return tokenIds.length <= partRows ? this.#runPart(input) : this.#runInParts(input, partRows);
  }

  async #runPart(input: StepInput): Promise<StepOutput> {
    const { latents, logits } = await this.#session.run(this.#buildFeeds(input));
    invariant(latents?.data instanceof Float32Array && logits?.data instanceof Float32Array, 'outputs are float32');
    return { logits: logits.data, latents: latents.data };
  }

  /** A part needs the rows of the parts before it: they go into copies of the suffix, the caller's stays as it is. */
  async #runInParts(input: StepInput, partRows: number): Promise<StepOutput> {
    const { start, prefixRows } = input;
    const tokenIds = Array.from(input.tokenIds);
    const width = this.latentWidth;
    const suffixFloats = wholeBlocks(start + tokenIds.length - prefixRows) * width;
    const suffix = input.suffix.map((rows) => rows.slice(0, suffixFloats));
    const latents = new Float32Array(this.layers * tokenIds.length * width);
    const logits: Float32Array[] = [];
    for (let done = 0; done < tokenIds.length; done += partRows) {
      const ids = tokenIds.slice(done, done + partRows);
      const isLast = done + ids.length === tokenIds.length;
      const wanted = input.logits === 'last' && !isLast ? 'none' : input.logits;
      const part = await this.#runPart({ ...input, tokenIds: ids, start: start + done, suffix, logits: wanted });
      logits.push(part.logits);
      suffix.forEach((rows, layer) => {
        const fresh = part.latents.subarray(layer * ids.length * width, (layer + 1) * ids.length * width);
        rows.set(fresh, (start + done - prefixRows) * width);
        latents.set(fresh, (layer * tokenIds.length + done) * width);
      });
    }
    return { logits: concatFloats(logits), latents };
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  #buildFeeds(input: StepInput): OrtFeeds {
    const { tokenIds, start, prefixRows, logits } = input;
    const tokens = tokenIds.length;
    const width = this.latentWidth;
    const suffixRows = wholeBlocks(start + tokens - prefixRows);
    const { cos, sin } = computeRotaryRows(this.#frequencies, this.#attentionFactor, start, tokens);
    const tableDims = [tokens, this.#frequencies.length];
    const feeds: Record<string, OrtFeeds[string]> = {
      ids: intTensor(tokenIds, [1, tokens]),
      write: intTensor([start - prefixRows], [1]),
      cos: floatTensor(cos, tableDims),
      sin: floatTensor(sin, tableDims),
      select: selectRows(logits, tokens),
    };
    for (let layer = 0; layer < this.layers; layer++) {
      const prefix = view(input.prefix[layer], prefixRows * width);
      const suffix = view(input.suffix[layer], suffixRows * width);
      feeds[prefixInput(layer)] = floatTensor(prefix, [prefixRows, width]);
      feeds[suffixInput(layer)] = floatTensor(suffix, [1, suffixRows, width]);
    }
    return feeds;
  }

  #check({ tokenIds, start, prefix, prefixRows, suffix }: StepInput): void {
    const end = start + tokenIds.length;
    invariant(tokenIds.length > 0, 'a step has at least one token');
    invariant(prefixRows % blockRows === 0 && prefixRows <= start, `prefix of ${prefixRows} rows before row ${start}`);
    invariant(prefix.length === this.layers && suffix.length === this.layers, 'latents for every layer');
    if (end > this.contextTokens) {
      const what = `${end} tokens exceed the window of ${this.contextTokens}`;
      throw new AppError('input.context-length', what, { details: { tokens: end, contextTokens: this.contextTokens } });
    }
    for (let index = 0; index < tokenIds.length; index++) {
      const id = tokenIds[index] ?? -1;
      const isKnown = Number.isInteger(id) && id >= 0 && id < this.vocabularySize;
      invariant(isKnown, `token id ${id} outside the vocabulary of ${this.vocabularySize}`);
    }
  }
}

function concatFloats(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

function wholeBlocks(rows: number): number {
  return Math.ceil(rows / blockRows) * blockRows;
}

function selectRows(logits: StepInput['logits'], tokens: number) {
  const first = { none: tokens, last: tokens - 1, all: 0 }[logits];
  const rows = Array.from({ length: tokens - first }, (_, index) => first + index);
  return intTensor(rows, [rows.length]);
}

function view(values: Float32Array | undefined, length: number): Float32Array {
  invariant(values !== undefined && values.length >= length, `latents hold ${values?.length}, a step reads ${length}`);
  return values.subarray(0, length);
}
