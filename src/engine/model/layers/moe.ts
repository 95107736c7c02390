import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ModelConfig, RouterConfig } from '../model-config.ts';
import { addExpertBranches } from './expert-branches.ts';
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
 * Routed and shared experts for x [rows, hidden]. Chosen (row, slot) pairs are sorted by expert, each expert computes
 * its run of them, and the results go back to their places [rows, slots, hidden], where a product sums those of a row
 * in the order of its slots: adding into shared rows would race between threads.
 */
export function addExpertLayer(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: ExpertLayerWeights,
  input: ValueName,
  allowsEmpty: boolean,
): ValueName {
  const { hiddenWidth, expertsPerToken } = config;
  const { chosen, mixWeights } = addRouter(graph, config, weights, input);
  const flat = graph.reshape(chosen, [-1]);
  const order = addSortedOrder(graph, flat);
  const rowOfPair = graph.op('Div', [order, graph.scalarInt(expertsPerToken)]);
  const inputs = { input, rowOfPair, counts: addCounts(graph, config.experts, flat), experts: config.experts };
  const sorted = allowsEmpty
    ? addExperts(graph, weights.expert, inputs)
    : addExpertBranches(graph, weights.expert, inputs, hiddenWidth);
  const placed = graph.op('Gather', [sorted, addSortedOrder(graph, order)]);
  const slots = graph.reshape(placed, [-1, expertsPerToken, hiddenWidth]);
  const mixed = graph.op('MatMul', [graph.reshape(mixWeights, [-1, 1, expertsPerToken]), slots]);
  const routed = graph.reshape(mixed, [-1, hiddenWidth]);
  return weights.shared === null ? routed : graph.op('Add', [addMlp(graph, input, weights.shared, 'shared'), routed]);
}

/** [experts] int64: pairs of each. */
function addCounts(graph: GraphBuilder, experts: number, expertOfPair: ValueName): ValueName {
  const numbers = graph.ints(Array.from({ length: experts }, (_, expert) => expert));
  const matches = graph.op('Equal', [graph.reshape(expertOfPair, [-1, 1]), numbers]);
  const asInts = graph.op('Cast', [matches], { to: intAttribute(7) });
  return graph.op('ReduceSum', [asInts, graph.ints([0])], { keepdims: intAttribute(0) });
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
  // scores are positive: their sum is that of their sizes, and where all are zero so are the weights
  const mixed = router.normalizeWeights
    ? graph.op('LpNormalization', [raw], { axis: intAttribute(-1), p: intAttribute(1) })
    : raw;
  return { chosen, mixWeights: graph.op('Mul', [mixed, graph.scalar(router.scalingFactor)]) };
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
