import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlockMatrix, blockColumns } from '../../../src/engine/model/block-matrix.ts';
import { GraphBuilder } from '../../../src/engine/model/graph-builder.ts';
import { addLinear } from '../../../src/engine/model/layers/linear.ts';
import { floatTensor, type OrtSession, openOrtSession } from '../../../src/engine/runtime/ort-session.ts';
import { FastRandom } from './fast-random.ts';
import type { Product, ProductRate } from './products.ts';

/** Tokens of one product: a chunk of prefill, and more than that. The better one counts. */
const tokenCounts = [256, 512];
const shapeMs = 150;

/** The best rate of ONNX Runtime's `MatMulNBits`, level 4 and blocks of 32, for each shape: what a prefill could reach. */
export async function measureProductRates(products: readonly Product[], threads: number): Promise<ProductRate[]> {
  const folder = mkdtempSync(join(tmpdir(), 'quire-products-'));
  const rates: ProductRate[] = [];
  try {
    for (const { rows, columns, bits } of products) {
      const file = join(folder, `${rows}-${columns}-${bits}.onnx`);
      writeFileSync(file, buildProduct(drawBlocks(rows, columns, bits)));
      const session = await openOrtSession(file, { threads });
      const measured: number[] = [];
      for (const tokens of tokenCounts) measured.push(await bestRate(session, rows, columns, tokens));
      await session.close();
      rates.push({ rows, columns, bits, rate: Math.max(...measured) });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rates;
}

function drawBlocks(rows: number, columns: number, bits: 4 | 8): BlockMatrix {
  const blocks = columns / blockColumns;
  const words = new Uint32Array((rows * blocks * 4 * bits) / 4);
  new FastRandom(rows + columns).fillCodes(words);
  return {
    bits,
    codes: new Uint8Array(words.buffer),
    scales: new Float32Array(rows * blocks).fill(0.01),
    rows,
    columns,
  };
}

/** The engine's own product by itself. */
function buildProduct(weight: BlockMatrix): Uint8Array {
  const graph = GraphBuilder.open('product', null);
  const input = graph.input('input', 'float32', ['tokens', weight.columns]);
  graph.output(addLinear(graph, input, weight, 'weight'), 'float32', ['tokens', weight.rows], 'output');
  return graph.encodeModel();
}

/** Operations a second of the fastest run. */
async function bestRate(session: OrtSession, rows: number, columns: number, tokens: number): Promise<number> {
  const values = new Float32Array(tokens * columns);
  new FastRandom(tokens).fillUniform(values, 1);
  const feeds = { input: floatTensor(values, [tokens, columns]) };
  await session.run(feeds);
  let fastestMs = Number.POSITIVE_INFINITY;
  const endMs = performance.now() + shapeMs;
  do {
    const startMs = performance.now();
    await session.run(feeds);
    fastestMs = Math.min(fastestMs, performance.now() - startMs);
  } while (performance.now() < endMs);
  return (2000 * tokens * rows * columns) / fastestMs;
}
