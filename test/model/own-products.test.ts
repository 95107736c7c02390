import type { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../src/engine/model/graph-builder.ts';
import { OwnAttention } from '../../src/engine/model/layers/rounded-own.ts';
import { addPrefixShapes, PrefixAttention } from '../../src/engine/model/layers/rounded-prefix.ts';
import { addRoundedQueries, type RoundedSource } from '../../src/engine/model/layers/rounded-products.ts';
import { parseModelConfig } from '../../src/engine/model/model-config.ts';
import { blockRows, type OwnBlocks } from '../../src/engine/ports.ts';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { SessionRounding } from '../../src/engine/runtime/latent-rounding.ts';
import { floatTensor, openOrtSession } from '../../src/engine/runtime/ort-session.ts';
import { OwnBlockFeeds } from '../../src/engine/runtime/own-block-feeds.ts';
import { tinyDefaults } from '../support/tiny-checkpoint.ts';

/** What blocks contribute as sequences' own, against the same blocks as a prefix. */

const [width, rank, blocks, sequences, queries] = [40, 32, 4, 3, 5];
const rows = blocks * blockRows;
const config = parseModelConfig({ ...tinyDefaults, kv_lora_rank: rank, qk_rope_head_dim: width - rank });

const latents = Float32Array.from({ length: rows * width }, (_, at) => Math.sin(at * 1.7) * (1 + (at % 97)));
const rounding = await SessionRounding.open(config, 2);
const layers = await rounding.round([latents], rows);
await rounding.close();
const query = Float32Array.from(
  { length: sequences * queries * width },
  (_, at) => Math.cos(at * 2.3) * (1 + (at % 7)),
);

interface Met {
  readonly scores: Float32Array;
  /** Of each block of a sequence. */
  readonly parts: Float32Array;
}

/** @param shares [sequences, queries, places · 256] */
async function run(
  open: (graph: GraphBuilder, counts: { readonly sequences: string; readonly queries: string }) => RoundedSource,
  shares: Float32Array,
  places: number,
  own: OwnBlocks,
): Promise<Met> {
  const graph = GraphBuilder.open('products', null);
  const asked = graph.input('query', 'float32', [sequences, queries, width]);
  const attention = open(graph, { sequences: graph.dimension(asked, 0), queries: graph.dimension(asked, 1) });
  const whole = addRoundedQueries(graph, asked, graph.ints([sequences * queries, width]));
  const dims = [sequences, queries, places * blockRows];
  graph.output(attention.addScores(whole, 0.3), 'float32', dims, 'scores');
  const parts = attention.addParts(graph.input('shares', 'float32', dims));
  graph.output(parts, 'float32', [places, sequences * queries, rank], 'parts');
  const session = await openOrtSession(graph.encodeModel(), { threads: 2 });
  const feeds: Record<string, Tensor> = {
    query: floatTensor(query, [sequences, queries, width]),
    shares: floatTensor(shares, dims),
  };
  new OwnBlockFeeds(config).add(feeds, own, sequences);
  const outputs = await session.run(feeds);
  await session.close();
  return { scores: outputs['scores']?.data as Float32Array, parts: outputs['parts']?.data as Float32Array };
}

function storedIn(graph: GraphBuilder) {
  return {
    keys: graph.input('own_keys_0', 'int8', ['blocks', width, blockRows]),
    keySteps: graph.input('own_key_steps_0', 'float32', ['blocks', 1, blockRows]),
    values: graph.input('own_values_0', 'int8', ['blocks', blockRows, rank]),
    valueSteps: graph.input('own_value_steps_0', 'float32', ['blocks', 1, 1]),
  };
}

const runPrefix = (shares: Float32Array): Promise<Met> =>
  run(
    (graph, counts) => {
      const stored = storedIn(graph);
      return new PrefixAttention(graph, stored, addPrefixShapes(graph, counts, stored.keys));
    },
    shares,
    blocks,
    { layers, places: [[0, 1, 2, 3]] },
  );

const runOwn = (shares: Float32Array, places: readonly (readonly number[])[]): Promise<Met> =>
  run(
    (graph, counts) => {
      const index = {
        owners: graph.input('own_owners', 'int64', ['blocks']),
        cells: graph.input('own_cells', 'int64', ['blocks']),
        places: graph.input('own_places', 'int64', [sequences, 'places']),
      };
      return new OwnAttention(graph, config, counts, storedIn(graph), index);
    },
    shares,
    Math.max(...places.map(({ length }) => length)),
    { layers, places },
  );

const share = (sequence: number, question: number, block: number, key: number): number =>
  Math.abs(Math.sin(sequence + question * 3 + block * 7 + key * 0.9)) * 10 ** -block;

const sharesOf = (places: readonly (readonly (number | null)[])[]): Float32Array =>
  Float32Array.from(
    places.flatMap((own, sequence) =>
      Array.from({ length: queries }, (_, question) =>
        own.flatMap((block) =>
          Array.from({ length: blockRows }, (__, key) => (block === null ? 0 : share(sequence, question, block, key))),
        ),
      ).flat(),
    ),
  );

const slice = (values: Float32Array, index: number, size: number): Float32Array =>
  values.slice(index * size, (index + 1) * size);

describe.skipIf(!hasExactInt8())('own blocks in INT8', () => {
  it.each([
    ['in any order, and fewer of some sequences', [[2, 0], [], [3]]],
    ['of one sequence beside blocks of others', [[], [], [1, 2, 0]]],
  ] as const)('contribute the bits they contribute as a prefix: %s', async (_, places) => {
    const longest = Math.max(...places.map(({ length }) => length));
    const padded = places.map((own) => Array.from({ length: longest }, (__, place) => own[place] ?? null));
    const prefix = await runPrefix(sharesOf(places.map(() => [0, 1, 2, 3])));
    const met = await runOwn(sharesOf(padded), places);
    for (const [sequence, blocksOf] of padded.entries()) {
      for (let question = 0; question < queries; question++) {
        const row = sequence * queries + question;
        for (const [place, block] of blocksOf.entries()) {
          const scores = slice(met.scores, row * longest + place, blockRows);
          const sums = slice(met.parts, place * sequences * queries + row, rank);
          if (block === null) {
            expect(scores.every((score) => score < -1e29)).toBe(true);
            expect(sums.every((sum) => sum === 0)).toBe(true);
          } else {
            expect(scores).toEqual(slice(prefix.scores, row * blocks + block, blockRows));
            expect(sums).toEqual(slice(prefix.parts, block * sequences * queries + row, rank));
          }
        }
      }
    }
  });
});
