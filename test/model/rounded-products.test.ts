import { describe, expect, it } from 'vitest';
import { GraphBuilder, type ValueName } from '../../src/engine/model/graph-builder.ts';
import { addPrefixShapes, PrefixAttention } from '../../src/engine/model/layers/rounded-prefix.ts';
import { addRoundedQueries } from '../../src/engine/model/layers/rounded-products.ts';
import { parseModelConfig } from '../../src/engine/model/model-config.ts';
import { blockRows } from '../../src/engine/ports.ts';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { SessionRounding } from '../../src/engine/runtime/latent-rounding.ts';
import { byteTensor, floatTensor, openOrtSession } from '../../src/engine/runtime/ort-session.ts';
import { tinyDefaults } from '../support/tiny-checkpoint.ts';

/** The graph's products against whole numbers summed in plain code. */

const [width, rank, blocks, sequences, queries] = [40, 32, 3, 2, 5];
const rows = blocks * blockRows;
const scale = 0.3;
const config = parseModelConfig({ ...tinyDefaults, kv_lora_rank: rank, qk_rope_head_dim: width - rank });

/** The first row is zero. */
const latents = Float32Array.from({ length: rows * width }, (_, at) =>
  at < width ? 0 : Math.sin(at * 1.7) * (1 + (at % 97)) + 20,
);
const rounding = await SessionRounding.open(config, 2);
const [layer = expect.fail()] = await rounding.round([latents], rows);
await rounding.close();
const query = Float32Array.from(
  { length: sequences * queries * width },
  (_, at) => Math.cos(at * 2.3) * (1 + (at % 7)),
);
const largestOf = (values: Float32Array | readonly number[]): number => Math.max(...values.map(Math.abs));

async function runGraph(shares: Float32Array): Promise<{ readonly scores: Float32Array; readonly sums: Float32Array }> {
  const graph = GraphBuilder.open('products', null);
  const floats = (name: string, dims: readonly number[]): ValueName => graph.input(name, 'float32', dims);
  const keys = graph.input('keys', 'int8', ['blocks', width, blockRows]);
  const asked = floats('query', [sequences, queries, width]);
  const prefix = {
    keys,
    keySteps: floats('keySteps', [blocks, 1, blockRows]),
    values: graph.input('values', 'int8', ['blocks', blockRows, rank]),
    valueSteps: floats('valueSteps', [blocks, 1, 1]),
  };
  const counts = { sequences: graph.dimension(asked, 0), queries: graph.dimension(asked, 1) };
  const attention = new PrefixAttention(graph, prefix, addPrefixShapes(graph, counts, keys));
  const whole = addRoundedQueries(graph, asked, graph.ints([sequences * queries, width]));
  graph.output(attention.addScores(whole, scale), 'float32', [sequences, queries, rows], 'scores');
  const parts = attention.addParts(floats('shares', [sequences, queries, rows]));
  graph.output(graph.op('ReduceSum', [parts, graph.ints([0])]), 'float32', [1, sequences * queries, rank], 'sums');
  const session = await openOrtSession(graph.encodeModel(), { threads: 2 });
  const outputs = await session.run({
    query: floatTensor(query, [sequences, queries, width]),
    shares: floatTensor(shares, [sequences, queries, rows]),
    keys: byteTensor(layer.keys, [blocks, width, blockRows]),
    keySteps: floatTensor(layer.keySteps, [blocks, 1, blockRows]),
    values: byteTensor(layer.values, [blocks, blockRows, rank]),
    valueSteps: floatTensor(layer.valueSteps, [blocks, 1, 1]),
  });
  await session.close();
  return { scores: outputs['scores']?.data as Float32Array, sums: outputs['sums']?.data as Float32Array };
}

/** One row of scores. */
function wantedScores(asked: Float32Array): readonly number[] {
  const largest = largestOf(asked);
  const whole = Array.from(asked, (value) => Math.round((value * 127) / largest));
  return Array.from({ length: rows }, (_, key) => {
    const at = (column: number): number =>
      (Math.floor(key / blockRows) * width + column) * blockRows + (key % blockRows);
    const product = whole.reduce((sum, value, column) => sum + value * (layer.keys[at(column)] ?? Number.NaN), 0);
    return product * (largest / 127) * (layer.keySteps[key] ?? Number.NaN) * scale;
  });
}

/** One row of sums. */
function wantedSums(own: Float32Array): readonly number[] {
  const steps = Array.from({ length: blocks }, (_, block) =>
    Math.max(largestOf(own.subarray(block * blockRows, (block + 1) * blockRows)), 1e-30),
  );
  return Array.from({ length: rank }, (_, column) =>
    own.reduce((sum, share, key) => {
      const block = Math.floor(key / blockRows);
      const most = steps[block] ?? Number.NaN;
      const product = Math.round((share * 255) / most) * (layer.values[key * rank + column] ?? Number.NaN);
      return sum + product * most * (layer.valueSteps[block] ?? Number.NaN);
    }, 0),
  );
}

/** Of the largest of the wanted ones. */
function largestError(met: Float32Array, wanted: readonly number[]): number {
  return Math.max(...wanted.map((value, at) => Math.abs((met[at] ?? Number.NaN) - value))) / largestOf(wanted);
}

const rowOf = (values: Float32Array, row: number, size: number): Float32Array =>
  values.subarray(row * size, (row + 1) * size);

describe.skipIf(!hasExactInt8())('products over a prefix in INT8', () => {
  it('are those of whole numbers: scores with a step a query and a key, sums with a step a block', async () => {
    // very different from block to block, and none at all in one of them
    const shares = Float32Array.from({ length: sequences * queries * rows }, (_, at) => {
      const [row, block] = [Math.floor(at / rows), Math.floor((at % rows) / blockRows)];
      return row === 3 && block === 1 ? 0 : Math.abs(Math.sin(at * 0.9)) * 10 ** (-block - (row % 3));
    });
    const { scores, sums } = await runGraph(shares);
    for (let row = 0; row < sequences * queries; row++) {
      const asked = rowOf(query, row, width);
      expect(largestError(rowOf(scores, row, rows), wantedScores(asked)), `scores ${row}`).toBeLessThan(1e-5);
      const own = rowOf(shares, row, rows);
      expect(largestError(rowOf(sums, row, rank), wantedSums(own)), `sums ${row}`).toBeLessThan(1e-3);
    }
  });

  it('count shares that are small beside one in another block', async () => {
    const shares = new Float32Array(sequences * queries * rows);
    for (let row = 0; row < sequences * queries; row++) {
      shares[row * rows] = 0.9;
      shares.fill(1e-5, row * rows + blockRows, (row + 1) * rows);
    }
    const { sums } = await runGraph(shares);
    const wanted = Array.from({ length: rank }, (_, column) => {
      let sum = 0;
      for (let key = blockRows; key < rows; key++) sum += 1e-5 * (latents[key * width + column] ?? 0);
      return sum;
    });
    expect(largestError(rowOf(sums, 0, rank), wanted)).toBeLessThan(0.02);
  });
});
