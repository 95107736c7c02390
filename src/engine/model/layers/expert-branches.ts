import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ExpertInputs } from './experts.ts';
import { addMlp, type MlpWeights } from './mlp.ts';

/**
 * The same for devices, on which nothing may be without rows: an `If` around each expert.
 * @param width of input and results
 */
export function addExpertBranches(
  graph: GraphBuilder,
  weights: (expert: number) => MlpWeights,
  { input, rowOfPair, counts, experts }: ExpertInputs,
  width: number,
): ValueName {
  const own = graph.ops('Split', [rowOfPair, counts], experts, { axis: intAttribute(0) });
  const isAny = graph.op('Greater', [counts, graph.scalarInt(0)]);
  const conditions = graph.ops('Split', [isAny], experts, {
    axis: intAttribute(0),
    num_outputs: intAttribute(experts),
  });
  const nothing = graph.noRows(input);
  const results = conditions.map((condition, index) => {
    const run = graph.branch('expert');
    const output = addMlp(run, run.op('Gather', [input, own[index] ?? '']), weights(index), 'expert');
    addOutput(run, output, width);
    const skip = graph.branch('no_expert');
    addOutput(skip, skip.op('Identity', [nothing]), width);
    return graph.choose(condition, run, skip, 1)[0] ?? '';
  });
  return graph.concat(results, 0);
}

/** Dimensions of one name are taken to be equal, and results of one memory: each has a name of its own. */
function addOutput(branch: GraphBuilder, output: ValueName, width: number): void {
  branch.output(output, 'float32', [branch.freshName('rows'), width]);
}
