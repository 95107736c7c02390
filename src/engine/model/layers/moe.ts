import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ModelConfig, RouterConfig } from '../model-config.ts';
import { addLinear, type LinearWeight, type Matrix, stackRows } from './linear.ts';

export interface MlpWeights {
  readonly gate: LinearWeight;
  readonly up: LinearWeight;
  readonly down: LinearWeight;
}

export interface ExpertLayerWeights {
  /** Float32 in every precision: a choice that flips changes more than all rounding. */
  readonly router: Matrix;
  /** Added to the scores for choosing only. */
  readonly selectionBias: Float32Array;
  /** Reads one expert; called once each, so that a layer is never in memory twice. */
  readonly expert: (index: number) => MlpWeights;
  readonly shared: MlpWeights | null;
}

/** W_down( silu(W_gate x) ⊙ W_up x ) for x [rows, hidden]. */
export function addMlp(graph: GraphBuilder, input: ValueName, weights: MlpWeights, stem: string): ValueName {
  const [gate, up] = addGateAndUp(graph, input, weights, stem);
  const silu = graph.op('Mul', [gate, graph.op('Sigmoid', [gate])]);
  return addLinear(graph, graph.op('Mul', [silu, up]), weights.down, `${stem}_down`);
}

function addGateAndUp(
  graph: GraphBuilder,
  input: ValueName,
  { gate, up }: MlpWeights,
  stem: string,
): readonly [gate: ValueName, up: ValueName] {
  const stacked = stackRows(gate, up);
  if (stacked === null)
    return [addLinear(graph, input, gate, `${stem}_gate`), addLinear(graph, input, up, `${stem}_up`)];
  const both = addLinear(graph, input, stacked, `${stem}_gate_up`);
  const [first = '', second = ''] = graph.splitLast(both, [gate.rows, up.rows]);
  return [first, second];
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
  const { hiddenWidth, experts, expertsPerToken } = config;
  const { chosen, mixWeights } = addRouter(graph, config, weights, input);
  const flat = graph.reshape(graph.transpose(chosen, [1, 0]), [-1]);
  const order = addSortedOrder(graph, flat);
  const rowOfPair = graph.op('Mod', [order, graph.dimension(input, 0)]);
  const { counts, isActive } = addCounts(graph, experts, flat);
  const rows = graph.ops('Split', [rowOfPair, counts], experts, { axis: intAttribute(0) });
  const nothing = graph.noRows(input);
  const outputs = isActive.map((condition, expert) => {
    const own = { condition, rows: rows[expert] ?? '', input, nothing };
    return addExpert(graph, config, weights.expert(expert), own);
  });
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

interface CountParts {
  /** [experts] int64: pairs of each. */
  readonly counts: ValueName;
  /** One boolean [1] an expert. */
  readonly isActive: readonly ValueName[];
}

/** @param flat [pairs]: the expert of each */
function addCounts(graph: GraphBuilder, experts: number, flat: ValueName): CountParts {
  const numbers = graph.ints(Array.from({ length: experts }, (_, expert) => expert));
  const matches = graph.op('Equal', [graph.reshape(flat, [-1, 1]), numbers]);
  const asInts = graph.op('Cast', [matches], { to: intAttribute(7) });
  const counts = graph.op('ReduceSum', [asInts, graph.ints([0])], { keepdims: intAttribute(0) });
  const flags = graph.op('Greater', [counts, graph.scalarInt(0)]);
  if (experts === 1) return { counts, isActive: [flags] };
  const attributes = { axis: intAttribute(0), num_outputs: intAttribute(experts) };
  return { counts, isActive: graph.ops('Split', [flags], experts, attributes) };
}

interface ExpertPlace {
  readonly condition: ValueName;
  /** [n]: rows of the input that chose it. */
  readonly rows: ValueName;
  readonly input: ValueName;
  /** [0, hidden] */
  readonly nothing: ValueName;
}

/** Results [n, hidden]; an expert nobody chose costs one branch. */
function addExpert(graph: GraphBuilder, config: ModelConfig, weights: MlpWeights, place: ExpertPlace): ValueName {
  const run = graph.branch('expert');
  const output = addMlp(run, run.op('Gather', [place.input, place.rows]), weights, 'expert');
  run.output(output, 'float32', ['n', config.hiddenWidth]);
  const skip = graph.branch('no_expert');
  skip.output(skip.op('Identity', [place.nothing]), 'float32', ['n', config.hiddenWidth]);
  return graph.choose(place.condition, run, skip, 1)[0] ?? '';
}
