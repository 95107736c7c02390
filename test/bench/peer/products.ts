import { latentWidth, type ModelConfig } from '../../../src/engine/model/model-config.ts';
import { planTensors } from '../../../src/engine/model/tensor-plan.ts';

/** A matrix product that a token takes part in, and how often. */
export interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 8;
  /** Times a token. */
  readonly times: number;
}

/** A 2-byte scale for every 32 weights. */
const scaleBits = 16 / 32;

/**
 * Products of one token by shape, embedding (a look-up) and head left out: a prefill needs the head once. Keys and
 * values are counted as the up-projection of the latent, attention over earlier tokens not at all.
 */
export function planProducts(config: ModelConfig): readonly Product[] {
  const found = new Map<string, Product>();
  for (const tensor of planTensors(config)) {
    if (tensor.type === 'vector' || /embed_tokens|lm_head/.test(tensor.name)) continue;
    const { rows, columns, role } = tensor;
    const bits = role === 'expert' ? 4 : 8;
    const times = role === 'expert' ? config.expertsPerToken / config.experts : 1;
    const key = `${rows} ${columns} ${bits}`;
    found.set(key, { rows, columns, bits, times: (found.get(key)?.times ?? 0) + times });
  }
  return [...found.values()];
}

/** Multiplications and additions of a token. */
export function tokenOperations(products: readonly Product[]): number {
  return products.reduce((sum, { rows, columns, times }) => sum + 2 * rows * columns * times, 0);
}

/** What a token of an answer must read: every weight it uses once, the head included. */
export function activeBytes(config: ModelConfig): number {
  const head: Product = { rows: config.vocabularySize, columns: config.hiddenWidth, bits: 8, times: 1 };
  return [...planProducts(config), head].reduce(
    (sum, { rows, columns, bits, times }) => sum + (rows * columns * times * (bits + scaleBits)) / 8,
    0,
  );
}

/** Bytes of the latents of so many tokens: float32 here. */
export function latentBytes(config: ModelConfig, tokens: number): number {
  return config.layers * tokens * latentWidth(config) * 4;
}

export interface ProductRate extends Pick<Product, 'rows' | 'columns' | 'bits'> {
  /** Operations a second. */
  readonly rate: number;
}

/** Seconds that the products of so many tokens take when each runs at its measured rate. */
export function idealSeconds(products: readonly Product[], rates: readonly ProductRate[], tokens: number): number {
  return products.reduce((sum, { rows, columns, bits, times }) => {
    const known = rates.find((one) => one.rows === rows && one.columns === columns && one.bits === bits);
    if (known === undefined)
      throw new Error(`no rate of the product ${rows} × ${columns} of ${bits} bits was measured`);
    return sum + (2 * rows * columns * times * tokens) / known.rate;
  }, 0);
}
