import type { Tensor } from 'onnxruntime-node';
import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import type { Precision } from '../model/layer-weights.ts';
import { rowStep } from '../model/layers/attention.ts';
import type { AttentionForm } from '../model/layers/attention-parts.ts';
import { expandedRows } from '../model/layers/expanded.ts';
import { type LoadedModel, loadModelFolder } from '../model/load-model.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { operatorsOf } from '../model/operators/operators-of.ts';
import type { Provider } from '../model/operators/provider-operators.ts';
import { blockRows, type LatentRounding, type ModelRunner, type StepInput, type StepOutput } from '../ports.ts';
import { hasExactInt8 } from './cpu-features.ts';
import { engineDigest } from './engine-digest.ts';
import { SessionRounding } from './latent-rounding.ts';
import { type OpenGraphs, openGraphs } from './open-graphs.ts';
import { floatTensor, intTensor } from './ort-session.ts';
import { partRows } from './part-rows.ts';
import { Device } from './provider.ts';
import { joinFloats, longestOf, runInParts } from './run-in-parts.ts';
import { planStages } from './stage-plan.ts';
import { StepFeeds } from './step-feeds.ts';

export interface OrtRunnerOptions {
  readonly precision: Precision;
  readonly threads: number;
  /** Who computes; for another than the CPU `reproducible` must be false. @defaultValue `cpu` */
  readonly provider?: Provider;
  /** Equal bits for every chunking, neighbour and border of the prefix. @defaultValue true */
  readonly reproducible?: boolean;
  /** Most attention scores of one run (but see `partRows`); a longer step runs in parts, with the same bits. @defaultValue 2²⁶ */
  readonly maxScores?: number;
  /** Graphs that the layers are spread over, one behind the other. @defaultValue as few as load well */
  readonly stages?: number;
  /** Where models are kept as the runtime uses them, so that the next process starts at once. @defaultValue nowhere */
  readonly preparedFolder?: string | null;
  readonly log?: Logger;
}

/** Rows in which a prompt is computed in the exact form: the threads of a run share them, and none may have a single one. */
const promptStep = 64;

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
  const { precision, threads, preparedFolder = null, provider = 'cpu', log = silentLogger } = options;
  const form = (options.reproducible ?? true) ? 'exact' : 'fast';
  let device: Device | null = null;
  try {
    if (provider !== 'cpu' && form === 'exact') {
      throw new AppError('input.config', `reproducible results are computed on the cpu, met ${provider}`);
    }
    device = provider === 'cpu' ? null : await Device.open(provider);
    const rounds = provider === 'cpu' && precision === 'int4' && hasExactInt8();
    const stages = planStages(loaded.config, options.stages ?? null);
    const graphs = await openGraphs(loaded, {
      precision,
      form,
      provider,
      rounds,
      stages,
      threads,
      preparedFolder,
      log,
    });
    const rounding = rounds ? await SessionRounding.open(loaded.config, threads) : null;
    const digest = engineDigest(graphs.digest, { threads, provider, rounding: rounding?.digest ?? null });
    const maxScores = options.maxScores ?? defaultMaxScores;
    return new OrtRunner(loaded.config, { graphs, form, rounding, digest, maxScores, device });
  } catch (error) {
    await device?.close();
    throw error;
  } finally {
    loaded.weights.close();
  }
}

interface RunnerParts {
  readonly graphs: OpenGraphs;
  readonly form: AttentionForm;
  readonly rounding: SessionRounding | null;
  readonly digest: string;
  readonly maxScores: number;
  readonly device: Device | null;
}

class OrtRunner implements CheckpointRunner {
  readonly layers: number;
  readonly latentWidth: number;
  readonly hiddenWidth: number;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  readonly rowStep: number;
  readonly bulkTokens: number | null;
  readonly promptStep: number | null;
  readonly rounding: LatentRounding | null;
  readonly digest: string;
  readonly weightsDigest: string;
  readonly #graphs: OpenGraphs;
  readonly #heads: number;
  readonly #maxScores: number;
  readonly #device: Device | null;
  readonly #rounding: SessionRounding | null;
  readonly #feeds: StepFeeds;
  #runMs = 0;

  constructor(config: ModelConfig, { graphs, form, rounding, digest, maxScores, device }: RunnerParts) {
    this.layers = config.layers;
    this.latentWidth = latentWidth(config);
    this.hiddenWidth = config.hiddenWidth;
    this.vocabularySize = config.vocabularySize;
    this.contextTokens = config.contextTokens;
    this.rowStep = rowStep(form);
    const { expands } = operatorsOf(device?.provider ?? 'cpu');
    this.bulkTokens = expands ? 2 * expandedRows : null;
    this.promptStep = expands && form === 'exact' ? promptStep : null;
    this.#rounding = rounding;
    this.rounding =
      rounding === null
        ? null
        : {
            blockBytes: rounding.blockBytes,
            round: (prefix, rows) => this.#time(() => rounding.round(prefix, rows)),
          };
    this.digest = digest;
    this.weightsDigest = graphs.weightsDigest;
    this.#graphs = graphs;
    this.#heads = config.heads;
    this.#maxScores = maxScores;
    this.#device = device;
    this.#feeds = new StepFeeds(config, { form, rounds: rounding !== null, device });
  }

  get runMs(): number {
    return this.#runMs;
  }

  async run(input: StepInput): Promise<StepOutput> {
    this.#check(input);
    const limits = {
      bulkTokens: this.bulkTokens,
      promptStep: this.promptStep,
      heads: this.#heads,
      maxScores: this.#maxScores,
    };
    return runInParts(this, input, partRows(input, limits), (part) => this.#runPart(part));
  }

  async close(): Promise<void> {
    this.#feeds.close();
    for (const session of [...this.#graphs.stages, this.#graphs.top]) await session.close();
    await this.#rounding?.close();
    await this.#device?.close();
  }

  async #runPart(input: StepInput): Promise<StepOutput> {
    if (this.#device !== null) await this.#feeds.upload(input);
    const feeds = this.#feeds.of(input);
    const latents: Float32Array[] = [];
    let hidden: Tensor | undefined;
    for (const session of this.#graphs.stages) {
      if (hidden !== undefined) feeds['hidden_in'] = hidden;
      const outputs = await this.#time(() => session.run(feeds));
      hidden?.dispose();
      hidden = outputs['hidden'];
      latents.push(floatsOf(outputs['latents']));
    }
    const top = await this.#runTop(input, feeds, hidden, latents.at(-1) ?? new Float32Array());
    hidden?.dispose();
    return { ...top, latents: joinFloats(latents) };
  }

  /** What only wanted rows need. */
  async #runTop(
    input: StepInput,
    feeds: Record<string, Tensor>,
    hidden: Tensor | undefined,
    latents: Float32Array,
  ): Promise<Pick<StepOutput, 'logits' | 'hidden'>> {
    const { sequences } = input;
    const tokens = longestOf(sequences);
    const isWanted = sequences.some(({ wanted }) => wanted > 0);
    if (!isWanted || hidden === undefined) return { logits: new Float32Array(), hidden: new Float32Array() };
    const hasHead = input.head || this.#device !== null;
    const newRows = latents.subarray(-sequences.length * tokens * this.latentWidth);
    feeds['hidden_in'] = hidden;
    feeds['new_rows'] = floatTensor(newRows, [sequences.length, tokens, this.latentWidth]);
    feeds['head'] = intTensor(BigInt64Array.of(hasHead ? 1n : 0n), [1]);
    this.#feeds.addTop(feeds, input);
    const outputs = await this.#time(() => this.#graphs.top.run(feeds));
    const logits = input.head ? floatsOf(outputs['logits']) : new Float32Array();
    return { logits, hidden: floatsOf(outputs['hidden']) };
  }

  async #time<Result>(run: () => Promise<Result>): Promise<Result> {
    const startMs = performance.now();
    const result = await run();
    this.#runMs += performance.now() - startMs;
    return result;
  }

  #check({ sequences, prefix, prefixRows, suffix, suffixRows }: StepInput): void {
    const tokens = longestOf(sequences);
    invariant(sequences.length > 0 && sequences.every(({ tokenIds }) => tokenIds.length > 0), 'a step has tokens');
    invariant(prefix.length === this.layers && suffix.length === this.layers, 'latents for every layer');
    invariant(prefixRows % blockRows === 0, `prefix of ${prefixRows} rows`);
    invariant(suffixRows > 0 && suffixRows % this.rowStep === 0, `suffix of ${suffixRows} rows`);
    for (const { start, tokenIds, wanted } of sequences) {
      // a message costs more than its check, and these are made for every token
      const isPart = wanted >= 0 && wanted <= tokenIds.length;
      if (!isPart) invariant(false, `${wanted} rows are wanted of ${tokenIds.length}`);
      const room = prefixRows + suffixRows;
      const fits = prefixRows <= start && start + tokens <= room;
      if (!fits) invariant(false, `${tokens} rows from ${start}, behind a prefix of ${prefixRows}, room for ${room}`);
      for (let at = 0; at < tokenIds.length; at++) {
        const id = tokenIds[at] ?? -1;
        const isKnown = id >= 0 && id < this.vocabularySize;
        if (!isKnown) invariant(false, `token id ${id} outside the vocabulary of ${this.vocabularySize}`);
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

function floatsOf(tensor: { readonly data: unknown } | undefined): Float32Array {
  invariant(tensor?.data instanceof Float32Array, 'outputs are float32');
  return tensor.data;
}
