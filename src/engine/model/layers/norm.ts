import { floatAttribute, type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';

/** x / sqrt(mean(x²) + epsilon) ⊙ gain over the last axis. */
export function addRmsNorm(graph: GraphBuilder, input: ValueName, gain: Float32Array, epsilon: number): ValueName {
  const scale = graph.weight('norm_gain', gain, [gain.length]);
  return graph.op('RMSNormalization', [input, scale], { axis: intAttribute(-1), epsilon: floatAttribute(epsilon) });
}
