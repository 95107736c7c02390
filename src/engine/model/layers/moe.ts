import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ModelConfig, RouterConfig } from '../model-config.ts';
import { addExperts } from './experts.ts';
import { addLinear, type Matrix } from './linear.ts';
import { addMlp, type MlpWeights } from './mlp.ts';

export interface ExpertLayerWeights {
  /** Float32 in every precision: a choice that flips changes more than all rounding. */
  readonly router: Matrix;
  /** Added to the scores for choosing only. */
  readonly selectionBias: Float32Array;
  /** Reads one expert; called once each, so that a layer is never in memory twice. */
  readonly expert: (index: number) => MlpWeights;
  readonly shared: MlpWeights | null;
}

/**
 * Routed and shared experts for x [rows, hidden]. Chosen (slot, row) pairs are sorted by expert, each expert computes
 * its run of them, and the results go back to their places [slots, rows, hidden] and are summed over slots in order:
 * adding into shared rows would race between threads.
 */
export function addExpertLayer(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: ExpertLayerWeights,
  input: ValueName,
): ValueName {
  const { hiddenWidth, expertsPerToken } = config;
  const { chosen, mixWeights } = addRouter(graph, config, weights, input);
  const flat = graph.reshape(graph.transpose(chosen, [1, 0]), [-1]);
  const order = addSortedOrder(graph, flat);
  const rowOfPair = graph.op('Mod', [order, graph.dimension(input, 0)]);
  const outputs = addExperts(graph, config, weights.expert, { input, rowOfPair, expertOfPair: flat });
  const sorted = outputs.length === 1 ? (outputs[0] ?? '') : graph.concat(outputs, 0);
  const placed = graph.op('Gather', [sorted, addSortedOrder(graph, order)]);
  const slots = graph.reshape(placed, [expertsPerToken, graph.dimension(input, 0), hiddenWidth]);
  const slotWeights = graph.op('Unsqueeze', [graph.transpose(mixWeights, [1, 0]), graph.ints([-1])]);
  const routed = graph.op('ReduceSum', [graph.op('Mul', [slots, slotWeights]), graph.ints([0])], {
    keepdims: intAttribute(0),
  });
  return weights.shared === null ? routed : graph.op('Add', [addMlp(graph, input, weights.shared, 'shared'), routed]);
}

/** Indices that sort a vector upwards, the first of equals first; of a permutation, its inverse. */
function addSortedOrder(graph: GraphBuilder, values: ValueName): ValueName {
  const total = graph.dimension(values, 0);
  const attributes = { axis: intAttribute(0), largest: intAttribute(0), sorted: intAttribute(1) };
  return graph.ops('TopK', [values, total], 2, attributes)[1] ?? '';
}

interface RouterParts {
  /** [rows, experts per token], int64 */
  readonly chosen: ValueName;
  /** [rows, experts per token] */
  readonly mixWeights: ValueName;
}

/** The bias chooses, the un-biased sigmoid scores weigh. */
function addRouter(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: ExpertLayerWeights,
  input: ValueName,
): RouterParts {
  const { router, experts, expertsPerToken } = config;
  const scores = graph.op('Sigmoid', [addLinear(graph, input, weights.router, 'router')]);
  const bias = graph.weight('selection_bias', weights.selectionBias, [experts]);
  const biased = graph.op('Add', [scores, bias]);
  const choice = router.groups > 1 ? addGroupLimit(graph, router, experts, biased) : biased;
  const [, chosen = ''] = graph.ops('TopK', [choice, graph.ints([expertsPerToken])], 2, { axis: intAttribute(-1) });
  const raw = graph.op('GatherElements', [scores, chosen], { axis: intAttribute(1) });
  const mixed = router.normalizeWeights ? addNormalized(graph, raw) : raw;
  return { chosen, mixWeights: graph.op('Mul', [mixed, graph.scalar(router.scalingFactor)]) };
}

function addNormalized(graph: GraphBuilder, raw: ValueName): ValueName {
  const sum = graph.op('ReduceSum', [raw, graph.ints([1])], { keepdims: intAttribute(1) });
  return graph.op('Div', [raw, graph.op('Add', [sum, graph.scalar(1e-20)])]);
}

/** Only experts of the best groups can be chosen; a group is scored by the sum of its two best. */
function addGroupLimit(graph: GraphBuilder, router: RouterConfig, experts: number, biased: ValueName): ValueName {
  const { groups, groupsPerToken } = router;
  const grouped = graph.reshape(biased, [-1, groups, experts / groups]);
  const [best = ''] = graph.ops('TopK', [grouped, graph.ints([2])], 2, { axis: intAttribute(-1) });
  const groupScores = graph.op('ReduceSum', [best, graph.ints([2])], { keepdims: intAttribute(0) });
  const [, kept = ''] = graph.ops('TopK', [groupScores, graph.ints([groupsPerToken])], 2, { axis: intAttribute(-1) });
  // [rows, kept, groups] → [rows, groups, 1]: is the group among the kept ones?
  const numbers = graph.ints(Array.from({ length: groups }, (_, group) => group));
  const matches = graph.op('Equal', [graph.op('Unsqueeze', [kept, graph.ints([2])]), numbers]);
  const asInts = graph.op('Cast', [matches], { to: intAttribute(7) });
  const hits = graph.op('ReduceSum', [asInts, graph.ints([1])], { keepdims: intAttribute(0) });
  const isKept = graph.op('Greater', [graph.op('Unsqueeze', [hits, graph.ints([2])]), graph.scalarInt(0)]);
  const limited = graph.op('Where', [isKept, grouped, graph.scalar(Number.NEGATIVE_INFINITY)]);
  return graph.reshape(limited, [-1, experts]);
}
