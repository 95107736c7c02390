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
 * Routed and shared experts for x [rows, hidden]. Each chosen (slot, row) is written once into [slots, rows, hidden]
 * and the slots are summed in order: adding into shared rows would race between threads.
 */
export function addExpertLayer(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: ExpertLayerWeights,
  input: ValueName,
): ValueName {
  const { hiddenWidth, experts } = config;
  const { chosen, mixWeights } = addRouter(graph, config, weights, input);
  const slots = graph.transpose(chosen, [1, 0]);
  const isActive = addActiveFlags(graph, experts, chosen);
  const outputs: ValueName[] = [];
  const places: ValueName[] = [];
  for (let expert = 0; expert < experts; expert++) {
    const [output = '', place = ''] = addExpert(graph, config, weights.expert(expert), {
      expert,
      condition: isActive[expert] ?? '',
      slots,
      input,
    });
    outputs.push(output);
    places.push(place);
  }
  const empty = graph.op('Expand', [
    graph.scalar(0),
    graph.concat([graph.op('Shape', [slots]), graph.ints([hiddenWidth])], 0),
  ]);
  const pairs = graph.transpose(graph.concat(places, 1), [1, 0]);
  const filled = graph.op('ScatterND', [empty, pairs, graph.concat(outputs, 0)]);
  const slotWeights = graph.op('Unsqueeze', [graph.transpose(mixWeights, [1, 0]), graph.ints([-1])]);
  const routed = graph.op('ReduceSum', [graph.op('Mul', [filled, slotWeights]), graph.ints([0])], {
    keepdims: intAttribute(0),
  });
  return weights.shared === null ? routed : graph.op('Add', [addMlp(graph, input, weights.shared, 'shared'), routed]);
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

/** One boolean [1] an expert: was it chosen by any row? Repeated writes all write 1. */
function addActiveFlags(graph: GraphBuilder, experts: number, chosen: ValueName): readonly ValueName[] {
  const flat = graph.reshape(chosen, [-1]);
  const ones = graph.op('Expand', [graph.scalar(1), graph.op('Shape', [flat])]);
  const marks = graph.op('ScatterElements', [graph.zeros([experts]), flat, ones], { axis: intAttribute(0) });
  const flags = graph.op('Greater', [marks, graph.scalar(0)]);
  if (experts === 1) return [flags];
  return graph.ops('Split', [flags], experts, { axis: intAttribute(0), num_outputs: intAttribute(experts) });
}

interface ExpertPlace {
  readonly expert: number;
  readonly condition: ValueName;
  /** [slots, rows]: the expert of each slot. */
  readonly slots: ValueName;
  readonly input: ValueName;
}

/** Results [n, hidden] and their slots and rows [2, n]; an expert nobody chose costs one branch. */
function addExpert(graph: GraphBuilder, config: ModelConfig, weights: MlpWeights, place: ExpertPlace): ValueName[] {
  const { hiddenWidth } = config;
  const run = graph.branch('expert');
  const matches = run.op('Equal', [place.slots, run.scalarInt(place.expert)]);
  const found = run.op('NonZero', [matches]);
  const rows = run.op('Gather', [found, run.scalarInt(1)], { axis: intAttribute(0) });
  const output = addMlp(run, run.op('Gather', [place.input, rows]), weights, 'expert');
  run.output(output, 'float32', ['n', hiddenWidth]);
  run.output(found, 'int64', [2, 'n']);

  const skip = graph.branch('no_expert');
  skip.output(skip.noRows(place.input), 'float32', [0, hiddenWidth]);
  skip.output(skip.op('NonZero', [skip.noRows(skip.transpose(place.slots, [1, 0]))]), 'int64', [2, 0]);
  return graph.choose(place.condition, run, skip, 2);
}
