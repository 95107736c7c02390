import type { Tensor } from 'onnxruntime-node';
import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import { type LayerRange, prefixInput, suffixInput } from '../model/architectures/deepseek-v3.ts';
import type { Precision } from '../model/layer-weights.ts';
import { type AttentionForm, rowStep } from '../model/layers/attention.ts';
import { expandedRows, headsAtOnce } from '../model/layers/expanded.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import { type LoadedModel, loadModelFolder } from '../model/load-model.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { blockRows, type ModelRunner, type StepInput, type StepOutput, type StepSequence } from '../ports.ts';
import { engineDigest } from './engine-digest.ts';
import { type OpenGraphs, openGraphs } from './open-graphs.ts';
import { floatTensor, intTensor, type OrtFeeds } from './ort-session.ts';
import { joinFloats, longestOf, runInParts } from './run-in-parts.ts';
import { planStages } from './stage-plan.ts';

export interface OrtRunnerOptions {
  readonly precision: Precision;
  readonly threads: number;
  /** Equal bits for every chunking, neighbour and border of the prefix. @defaultValue true */
  readonly reproducible?: boolean;
  /** Most attention scores of one run; a longer step runs in parts, with the same bits. @defaultValue 2²⁶ */
  readonly maxScores?: number;
  /** Graphs that the layers are spread over, one behind the other. @defaultValue as few as load well */
  readonly stages?: number;
  /** Where models are kept as the runtime uses them, so that the next process starts at once. @defaultValue nowhere */
  readonly preparedFolder?: string | null;
  readonly log?: Logger;
}

/** 256 MB; a run holds about four matrices of scores at once. */
const defaultMaxScores = 2 ** 26;

export interface CheckpointRunner extends ModelRunner {
  /** sha256 over the stored bytes of all weights. */
  readonly weightsDigest: string;
}

/**
 * Opens a checkpoint folder, or one that is loaded already, for running; its weights are closed either way.
 * Throws `input.model-folder`, `corrupt.safetensors`, `capacity.model-too-large` and `input.config`.
 */
export async function openOrtRunner(model: string | LoadedModel, options: OrtRunnerOptions): Promise<CheckpointRunner> {
  const loaded = typeof model === 'string' ? await loadModelFolder(model) : model;
  const { precision, threads, preparedFolder = null, log = silentLogger } = options;
  const form = (options.reproducible ?? true) ? 'exact' : 'fast';
  try {
    const stages = planStages(loaded.config, options.stages ?? null);
    const graphs = await openGraphs(loaded, { precision, form, stages, threads, preparedFolder, log });
    const digest = engineDigest(graphs.digest, threads);
    return new OrtRunner(loaded.config, graphs, stages, form, digest, options.maxScores ?? defaultMaxScores);
  } finally {
    loaded.weights.close();
  }
}

const noLayers: LayerRange = { first: 0, end: 0 };

class OrtRunner implements CheckpointRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly hiddenWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  readonly rowStep: number;
  readonly bulkTokens: number | null;
  readonly digest: string;
  readonly weightsDigest: string;
  readonly #graphs: OpenGraphs;
  readonly #ranges: readonly LayerRange[];
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #heads: number;
  readonly #maxScores: number;
  #runMs = 0;

  constructor(
    config: ModelConfig,
    graphs: OpenGraphs,
    ranges: readonly LayerRange[],
    form: AttentionForm,
    digest: string,
    maxScores: number,
  ) {
    this.layers = config.layers;
    this.latentWidth = latentWidth(config);
    this.hiddenWidth = config.hiddenWidth;
    this.vocabularySize = config.vocabularySize;
    this.contextTokens = config.contextTokens;
    this.rowStep = rowStep(form);
    this.bulkTokens = form === 'fast' ? 2 * expandedRows : null;
    this.digest = digest;
    this.weightsDigest = graphs.weightsDigest;
    this.#graphs = graphs;
    this.#ranges = ranges;
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
    return runInParts(this, input, this.#partRows(input), (part) => this.#runPart(part));
  }

  async close(): Promise<void> {
    for (const session of [...this.#graphs.stages, this.#graphs.top]) await session.close();
  }

  /** New rows whose scores may be in memory at once; expanded, a few heads' at a time. */
  #partRows({ sequences, prefixRows, suffixRows }: StepInput): number {
    const perHead = this.#maxScores / (prefixRows + suffixRows);
    const rows = Math.max(1, Math.floor(perHead / this.#heads));
    const expanded = Math.floor(perHead / headsAtOnce);
    return this.bulkTokens !== null && sequences.length === 1 && expanded >= expandedRows
      ? Math.max(rows, expanded)
      : rows;
  }

  async #runPart(input: StepInput): Promise<StepOutput> {
    const feeds = this.#buildFeeds(input);
    const latents: Float32Array[] = [];
    let hidden: Tensor | undefined;
    for (const [index, session] of this.#graphs.stages.entries()) {
      const own = this.#layerFeeds(input, this.#ranges[index] ?? noLayers);
      if (hidden !== undefined) own['hidden_in'] = hidden;
      const outputs = await this.#time(session.run({ ...feeds, ...own }));
      hidden = outputs['hidden'];
      latents.push(floatsOf(outputs['latents']));
    }
    const top = await this.#runTop(input, feeds, hidden, latents.at(-1) ?? new Float32Array());
    return { ...top, latents: joinFloats(latents) };
  }

  /** What only wanted rows need. */
  async #runTop(
    input: StepInput,
    feeds: OrtFeeds,
    hidden: Tensor | undefined,
    latents: Float32Array,
  ): Promise<Pick<StepOutput, 'logits' | 'hidden'>> {
    const { sequences } = input;
    const tokens = longestOf(sequences);
    const select = selectRows(sequences, tokens);
    if (select.length === 0 || hidden === undefined) return { logits: new Float32Array(), hidden: new Float32Array() };
    const newRows = latents.subarray(-sequences.length * tokens * this.latentWidth);
    const outputs = await this.#time(
      this.#graphs.top.run({
        ...feeds,
        ...this.#layerFeeds(input, { first: this.layers - 1, end: this.layers }),
        hidden_in: hidden,
        new_rows: floatTensor(newRows, [sequences.length, tokens, this.latentWidth]),
        select: intTensor(select, [select.length]),
        head: intTensor(BigInt64Array.of(input.head ? 1n : 0n), [1]),
      }),
    );
    return { logits: floatsOf(outputs['logits']), hidden: floatsOf(outputs['hidden']) };
  }

  async #time<Result>(run: Promise<Result>): Promise<Result> {
    const startMs = performance.now();
    const result = await run;
    this.#runMs += performance.now() - startMs;
    return result;
  }

  #buildFeeds({ sequences, prefixRows }: StepInput): OrtFeeds {
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
    return {
      ids: intTensor(ids, [total, tokens]),
      write: intTensor(
        BigInt64Array.from(sequences, ({ start }) => BigInt(start - prefixRows)),
        [total],
      ),
      cos: floatTensor(cos, [total * tokens, pairs]),
      sin: floatTensor(sin, [total * tokens, pairs]),
    };
  }

  #layerFeeds({ sequences, prefix, prefixRows, suffix, suffixRows }: StepInput, layers: LayerRange) {
    const width = this.latentWidth;
    const total = sequences.length;
    const feeds: Record<string, Tensor> = {};
    for (let layer = layers.first; layer < layers.end; layer++) {
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

/** Rows over all sequences, each padded to `tokens`. */
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
