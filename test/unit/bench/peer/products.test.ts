import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { countParameters } from '../../../../src/engine/model/tensor-plan.ts';
import { activeBytes, idealSeconds, planProducts, tokenOperations } from '../../../bench/peer/products.ts';
import { buildShapeConfig, modelShapes } from '../../../bench/peer/shapes.ts';

const shape = modelShapes.A;
const config = parseModelConfig(buildShapeConfig(shape, 1));
const products = planProducts(config);
const weightsOf = (bits: 4 | 8): number =>
  products
    .filter((one) => one.bits === bits)
    .reduce((sum, { rows, columns, times }) => sum + rows * columns * times, 0);

describe('planProducts', () => {
  it('has the experts that a token is sent to in 4 bits, the rest in 8', () => {
    const expertLayers = shape.layers - 1;
    expect(weightsOf(4)).toBe(expertLayers * shape.expertsPerToken * 3 * shape.hidden * shape.expert);
    const vectors =
      shape.layers * (2 * shape.hidden + shape.queryLora + shape.latent) + shape.hidden + expertLayers * shape.experts;
    const tables = 2 * shape.vocabulary * shape.hidden;
    expect(weightsOf(4) + weightsOf(8)).toBe(countParameters(config).activeParameters - vectors - tables);
  });
});

describe('the limits of a machine', () => {
  it('are two operations a weight, and bytes with a scale for 32 weights', () => {
    expect(tokenOperations(products)).toBe(2 * (weightsOf(4) + weightsOf(8)));
    const head = shape.vocabulary * shape.hidden;
    expect(activeBytes(config)).toBe((weightsOf(4) * 4.5 + (weightsOf(8) + head) * 8.5) / 8);
  });

  it('give the time of every product at its own rate', () => {
    const rates = products.map(({ rows, columns, bits }) => ({ rows, columns, bits, rate: bits === 4 ? 2e9 : 1e9 }));
    expect(idealSeconds(products, rates, 10)).toBeCloseTo(10 * (weightsOf(4) / 1e9 + (2 * weightsOf(8)) / 1e9), 9);
    expect(() => idealSeconds(products, rates.slice(1), 1)).toThrow('no rate of the product');
  });
});
