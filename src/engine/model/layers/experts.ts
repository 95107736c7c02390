import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ModelConfig } from '../model-config.ts';
import { addMlp, type MlpWeights } from './mlp.ts';

export interface ExpertInputs {
  /** [rows, hidden] */
  readonly input: ValueName;
  /** [pairs]: row of the input of each (slot, row) pair, sorted by expert. */
  readonly rowOfPair: ValueName;
  /** [pairs]: the expert of each, in any order. */
  readonly expertOfPair: ValueName;
}

/** From so many experts on, a branch around several costs less than a branch each. */
const groupedExperts = 128;
const groupSize = 8;

/** Experts that are skipped together when nobody chose any of them; 1: each by itself. */
export function expertGroupSize(experts: number): number {
  return experts >= groupedExperts && experts % groupSize === 0 ? groupSize : 1;
}

/** Results of each expert [n, hidden]; one nobody chose costs a branch, or its share of its group's. */
export function addExperts(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: (expert: number) => MlpWeights,
  inputs: ExpertInputs,
): readonly ValueName[] {
  const { experts, hiddenWidth } = config;
  const place = { input: inputs.input, nothing: graph.noRows(inputs.input), width: hiddenWidth };
  const counts = addCounts(graph, experts, inputs.expertOfPair);
  const size = expertGroupSize(experts);
  if (size === 1) return addBranches(graph, weights, place, inputs.rowOfPair, counts, experts);

  const groups = experts / size;
  const totals = graph.op('ReduceSum', [graph.reshape(counts, [groups, size]), graph.ints([1])], {
    keepdims: intAttribute(0),
  });
  const rows = graph.ops('Split', [inputs.rowOfPair, totals], groups, { axis: intAttribute(0) });
  const groupCounts = addPieces(graph, counts, groups);
  return addPieces(graph, addIsAny(graph, totals), groups).flatMap((condition, group) => {
    const run = graph.branch('experts', { holdsWeights: true });
    const own = (index: number): MlpWeights => weights(group * size + index);
    const outputs = addBranches(run, own, place, rows[group] ?? '', groupCounts[group] ?? '', size);
    for (const output of outputs) addOutput(run, output, hiddenWidth);
    const skip = graph.branch('no_experts');
    // all counts are zero here
    const empty = skip.ops('Split', [place.nothing, groupCounts[group] ?? ''], size, { axis: intAttribute(0) });
    for (const output of empty) addOutput(skip, output, hiddenWidth);
    return graph.choose(condition, run, skip, size);
  });
}

interface BranchPlace {
  readonly input: ValueName;
  /** [0, hidden] */
  readonly nothing: ValueName;
  readonly width: number;
}

/**
 * A branch for each of some experts.
 * @param rows [pairs of all of them]: rows of the input, sorted by expert
 * @param counts [total]: how many of each
 */
function addBranches(
  graph: GraphBuilder,
  weights: (index: number) => MlpWeights,
  place: BranchPlace,
  rows: ValueName,
  counts: ValueName,
  total: number,
): readonly ValueName[] {
  const own = graph.ops('Split', [rows, counts], total, { axis: intAttribute(0) });
  return addPieces(graph, addIsAny(graph, counts), total).map((condition, index) => {
    const run = graph.branch('expert');
    const output = addMlp(run, run.op('Gather', [place.input, own[index] ?? '']), weights(index), 'expert');
    addOutput(run, output, place.width);
    const skip = graph.branch('no_expert');
    addOutput(skip, skip.op('Identity', [place.nothing]), place.width);
    return graph.choose(condition, run, skip, 1)[0] ?? '';
  });
}

/** Dimensions of one name are taken to be equal, and results of one memory: each has a name of its own. */
function addOutput(branch: GraphBuilder, output: ValueName, width: number): void {
  branch.output(output, 'float32', [branch.freshName('rows'), width]);
}

/** [experts] int64: pairs of each. */
function addCounts(graph: GraphBuilder, experts: number, expertOfPair: ValueName): ValueName {
  const numbers = graph.ints(Array.from({ length: experts }, (_, expert) => expert));
  const matches = graph.op('Equal', [graph.reshape(expertOfPair, [-1, 1]), numbers]);
  const asInts = graph.op('Cast', [matches], { to: intAttribute(7) });
  return graph.op('ReduceSum', [asInts, graph.ints([0])], { keepdims: intAttribute(0) });
}

function addIsAny(graph: GraphBuilder, counts: ValueName): ValueName {
  return graph.op('Greater', [counts, graph.scalarInt(0)]);
}

/** Equal pieces of a vector. */
function addPieces(graph: GraphBuilder, vector: ValueName, total: number): readonly ValueName[] {
  if (total === 1) return [vector];
  return graph.ops('Split', [vector], total, { axis: intAttribute(0), num_outputs: intAttribute(total) });
}
