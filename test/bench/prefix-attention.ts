import { InferenceSession, Tensor } from 'onnxruntime-node';
import { GraphBuilder, intAttribute, type ValueName } from '../../src/engine/model/graph-builder.ts';
import { addPrefixShapes, PrefixAttention } from '../../src/engine/model/layers/rounded-prefix.ts';
import { addRoundedQueries, roundedBlock } from '../../src/engine/model/layers/rounded-products.ts';
import { cpuOperators } from '../../src/engine/model/operators/cpu-operators.ts';
import { median, printTable, quartiles } from './figures.ts';

/**
 * What attention over a prefix costs a decoded token, and what it would cost with its latents kept otherwise: scores,
 * softmax and values of 8 layers, latents of model A. `node --import tsx test/bench/prefix-attention.ts`
 */
const [layers, heads, width, latentRank, keyWidth, valueWidth, ownRows, rounds] = [8, 16, 288, 256, 96, 64, 64, 30];
const scale = 0.1;

interface Size {
  readonly rows: number;
  /** Sequences · heads. */
  readonly queries: number;
}

/** Latents [rows, width], the same turned, in INT8 in blocks as `RoundedPrefix`, keys and values of each head. */
type Form = 'rows' | 'turned' | 'keys8' | 'values8' | 'keys' | 'values';

function dimsOf(form: Form, rows: number): readonly number[] {
  const blocks = rows / roundedBlock;
  switch (form) {
    case 'rows':
      return [rows, width];
    case 'turned':
      return [width, rows];
    case 'keys8':
      return [blocks, width, roundedBlock];
    case 'values8':
      return [blocks, roundedBlock, latentRank];
    case 'keys':
      return [heads, rows, keyWidth];
    case 'values':
      return [heads, rows, valueWidth];
  }
}

interface Way {
  readonly title: string;
  readonly kept: readonly Form[];
  readonly scores: (graph: GraphBuilder, kept: readonly ValueName[]) => ValueName;
  readonly values: (graph: GraphBuilder, chances: ValueName, kept: readonly ValueName[], size: Size) => ValueName;
}

const turn = (graph: GraphBuilder, value: ValueName): ValueName => graph.transpose(value, [1, 0]);

/** The large matrix on the left is read where it lies; on the right it is copied into panels first. */
function scoresFromLeft(graph: GraphBuilder, latents: ValueName): ValueName {
  return turn(graph, cpuOperators.addScores(graph, latents, 'queries', scale, 2));
}

/** One sequence has all queries. */
function roundedOf(graph: GraphBuilder, [keys = '', values = '']: readonly ValueName[]): PrefixAttention {
  const counts = { sequences: graph.ints([1]), queries: graph.dimension('queries', 0) };
  const blocks = { keys, keySteps: 'key_steps', values, valueSteps: 'value_steps' };
  return new PrefixAttention(graph, blocks, addPrefixShapes(graph, counts, keys));
}

const ways: readonly Way[] = [
  {
    title: 'float32',
    kept: ['rows'],
    scores: (graph, [latents = '']) => cpuOperators.addScores(graph, 'queries', latents, scale, 2),
    values: (graph, chances, [latents = '']) => graph.op('MatMul', [chances, latents]),
  },
  {
    title: 'both from the left, of latents kept twice',
    kept: ['rows', 'turned'],
    scores: (graph, [latents = '']) => scoresFromLeft(graph, latents),
    values: (graph, chances, [, turned = '']) => turn(graph, graph.op('MatMul', [turned, turn(graph, chances)])),
  },
  {
    title: 'INT8, as the engine',
    kept: ['keys8', 'values8'],
    scores: (graph, kept) => {
      const whole = addRoundedQueries(graph, 'queries', graph.ints([-1, width]));
      return graph.reshapeTo(roundedOf(graph, kept).addScores(whole, scale), 'score_shape');
    },
    values: (graph, shares, kept) => {
      const parts = roundedOf(graph, kept).addParts(shares);
      return graph.op('ReduceSum', [parts, graph.ints([0])], { keepdims: intAttribute(0) });
    },
  },
  {
    title: 'keys and values of each head, kept',
    kept: ['keys', 'values'],
    scores: (graph, [keys = '']) => {
      const byHead = cpuOperators.addScores(graph, 'head_queries', keys, scale, 3);
      return graph.reshapeTo(graph.transpose(byHead, [1, 0, 2]), 'score_shape');
    },
    values: (graph, chances, [, values = ''], { rows, queries }) => {
      const byHead = graph.transpose(graph.reshape(chances, [queries / heads, heads, rows]), [1, 0, 2]);
      return graph.op('MatMul', [byHead, values]);
    },
  },
];

const at = (index: number): number => ((index * 7919) % 251) - 125;

function floats(dims: readonly number[]): Tensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return new Tensor(
    'float32',
    Float32Array.from({ length }, (_, index) => at(index) / 1250),
    dims,
  );
}

function bytes(dims: readonly number[]): Tensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return new Tensor(
    'int8',
    Int8Array.from({ length }, (_, index) => at(index)),
    dims,
  );
}

/** One after the other, so that threads of one way that still spin take nothing from the next. @returns ms a run */
async function measure({ kept, scores, values }: Way, size: Size): Promise<readonly number[]> {
  const { rows, queries } = size;
  const graph = GraphBuilder.open('attention', null);
  const feeds: Record<string, Tensor> = {
    queries: floats([queries, width]),
    head_queries: floats([heads, queries / heads, keyWidth]),
    score_shape: new Tensor('int64', BigInt64Array.from([BigInt(queries), BigInt(rows)]), [2]),
    own: floats([ownRows, width]),
    key_steps: floats([rows / roundedBlock, 1, roundedBlock]),
    value_steps: floats([rows / roundedBlock, 1, 1]),
  };
  graph.input('queries', 'float32', [queries, width]);
  graph.input('head_queries', 'float32', [heads, queries / heads, keyWidth]);
  graph.input('score_shape', 'int64', [2]);
  graph.input('own', 'float32', [ownRows, width]);
  graph.input('key_steps', 'float32', [rows / roundedBlock, 1, roundedBlock]);
  graph.input('value_steps', 'float32', [rows / roundedBlock, 1, 1]);
  for (let layer = 0; layer < layers; layer++) {
    const names = kept.map((form) => {
      const dims = dimsOf(form, rows);
      const name = graph.input(`${form}_${layer}`, form.endsWith('8') ? 'int8' : 'float32', dims);
      feeds[name] = form.endsWith('8') ? bytes(dims) : floats(dims);
      return name;
    });
    const own = cpuOperators.addScores(graph, 'queries', 'own', scale, 2);
    const all = graph.concat([scores(graph, names), own], -1);
    const chances = graph.op('Softmax', [all], { axis: intAttribute(-1) });
    const [onPrefix = '', onOwn = ''] = graph.splitLast(chances, [rows, ownRows]);
    for (const part of [values(graph, onPrefix, names, size), graph.op('MatMul', [onOwn, 'own'])]) {
      graph.output(graph.op('ReduceMax', [part], { keepdims: intAttribute(0) }), 'float32', []);
    }
  }
  const session = await InferenceSession.create(graph.encodeModel(), { intraOpNumThreads: 2, interOpNumThreads: 1 });
  const took: number[] = [];
  for (let round = -4; round < rounds; round++) {
    const start = performance.now();
    await session.run(feeds);
    if (round >= 0) took.push(performance.now() - start);
  }
  await session.release();
  return took;
}

async function main(): Promise<void> {
  const sizes: readonly Size[] = [
    { rows: 8192, queries: 16 },
    { rows: 8192, queries: 128 },
    { rows: 8192, queries: 256 },
    { rows: 8192, queries: 512 },
    { rows: 1024, queries: 128 },
  ];
  console.log(
    `${layers} layers, latents of ${width} floats, 2 threads, ${rounds} runs each: ms, middle half in brackets\n`,
  );
  const table: string[][] = ways.map(({ title }) => [title]);
  for (const size of sizes) {
    for (const [index, way] of ways.entries()) {
      const took = await measure(way, size);
      const [low, high] = quartiles(took);
      table[index]?.push(`${median(took).toFixed(1)} (${low.toFixed(1)}–${high.toFixed(1)})`);
    }
  }
  printTable(['', ...sizes.map(({ rows, queries }) => `${rows} rows, ${queries} queries`)], table);
}

await main();
