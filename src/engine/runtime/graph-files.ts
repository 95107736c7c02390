import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson } from '../../base/canonical-json.ts';
import { sha256Hex } from '../../base/hash.ts';
import { buildLayers, buildTop, type GraphOptions, type LayerRange } from '../model/architectures/deepseek-v3.ts';
import { ConstantFile } from '../model/constant-file.ts';
import { LayerWeights, type Precision } from '../model/layer-weights.ts';
import type { AttentionForm } from '../model/layers/attention-parts.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { Provider } from '../model/operators/provider-operators.ts';
import type { WeightSource } from '../model/weights.ts';
import { weightsFileOf } from './ort-session.ts';

export interface ModelOptions {
  readonly precision: Precision;
  readonly form: AttentionForm;
  readonly provider: Provider;
  /** Prefixes may be given in INT8. */
  readonly rounds: boolean;
  readonly stages: readonly LayerRange[];
}

/** What decides a result's bits, but for runtime and CPU. */
export interface GraphDigests {
  /** sha256 over all graphs and the stored bytes of all weights. */
  readonly digest: string;
  /** sha256 over the stored bytes of all weights. */
  readonly weightsDigest: string;
}

/** Model files of a checkpoint in a folder: one a stage, then the top. */
export function graphPaths(folder: string, stages: readonly LayerRange[], stem = 'graph'): readonly string[] {
  return [...stages, 'top'].map((_, index) => join(folder, `${stem}-${index}.onnx`));
}

/**
 * Writes the graphs of a checkpoint to `graphPaths(folder)`, weights beside them a tensor at a time.
 * @throws what `source` throws, and errors of the file system
 */
export function writeGraphs(
  folder: string,
  config: ModelConfig,
  source: WeightSource,
  { precision, form, provider, rounds, stages }: ModelOptions,
): GraphDigests {
  const weights = new LayerWeights(config, source, precision);
  const digests = graphPaths(folder, stages).map((path, index) => {
    const sink = new ConstantFile(weightsFileOf(path));
    const options: GraphOptions = { form, provider, rounds, sink };
    try {
      const range = stages[index];
      const bytes =
        range === undefined ? buildTop(config, weights, options) : buildLayers(config, weights, range, options);
      writeFileSync(path, bytes);
      return sha256Hex(bytes);
    } finally {
      sink.close();
    }
  });
  const weightsDigest = source.contentDigest();
  return { digest: sha256Hex(canonicalJson({ graphs: digests, weights: weightsDigest })), weightsDigest };
}
