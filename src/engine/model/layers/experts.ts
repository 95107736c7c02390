import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import { addGated, type MlpWeights, prepareMlp } from './mlp.ts';

export interface ExpertInputs {
  /** [rows, hidden] */
  readonly input: ValueName;
  /** [pairs]: row of the input of each (slot, row) pair, sorted by expert. */
  readonly rowOfPair: ValueName;
  /** [experts] int64: pairs of each. */
  readonly counts: ValueName;
  readonly experts: number;
}

/** So many experts have their gates applied together: few operators, and values that stay in the core's cache. */
const gatedTogether = 32;

/**
 * Results of all pairs, sorted by expert: [pairs, hidden]. Every expert's products run, those that nobody chose on no
 * rows, which takes a microsecond: a branch around them takes six, and twenty where it is gone into.
 */
export function addExperts(
  graph: GraphBuilder,
  weights: (expert: number) => MlpWeights,
  { input, rowOfPair, counts, experts }: ExpertInputs,
): ValueName {
  const rows = addRuns(graph, graph.op('Gather', [input, rowOfPair]), counts, experts);
  const sizes = Array.from({ length: Math.ceil(experts / gatedTogether) }, (_, part) =>
    Math.min(gatedTogether, experts - part * gatedTogether),
  );
  const countParts = sizes.length === 1 ? [counts] : graph.ops('Split', [counts, graph.ints(sizes)], sizes.length);
  const results = sizes.flatMap((size, part) => {
    const first = part * gatedTogether;
    const mlps = Array.from({ length: size }, (_, index) => prepareMlp(graph, weights(first + index), 'expert'));
    const both = mlps.map(({ gateAndUp }, index) => gateAndUp(rows[first + index] ?? ''));
    const gated = addGated(graph, graph.concat(both, 0), mlps[0]?.width ?? 0);
    const inner = addRuns(graph, gated, countParts[part] ?? '', size);
    return mlps.map(({ down }, index) => down(inner[index] ?? ''));
  });
  return graph.concat(results, 0);
}

/** Rows of each of `total` experts in turn. */
function addRuns(graph: GraphBuilder, rows: ValueName, counts: ValueName, total: number): readonly ValueName[] {
  return graph.ops('Split', [rows, counts], total, { axis: intAttribute(0) });
}
