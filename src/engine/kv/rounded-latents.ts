import { latentSteps, shareSteps } from '../model/layers/rounded-prefix.ts';
import { blockRows, type LatentLayers, type RoundedLayer } from '../ports.ts';

export interface RoundedShape {
  readonly layers: number;
  readonly latentWidth: number;
  /** Columns that are values too, the first ones. */
  readonly valueWidth: number;
}

/** Of all layers. */
export function roundedBlockBytes({ layers, latentWidth, valueWidth }: RoundedShape): number {
  const floats = blockRows + 1;
  return layers * (blockRows * (latentWidth + valueWidth) + floats * Float32Array.BYTES_PER_ELEMENT);
}

/**
 * A complete prefix in INT8, in blocks as the graph multiplies them: once by columns, with a step for each row, and its
 * values once more by rows, with a step for each block. A function of the latents alone.
 * @param latents of `blocks · 256` rows
 */
export function roundLatents(shape: RoundedShape, latents: LatentLayers, blocks: number): readonly RoundedLayer[] {
  return latents.map((rows) => roundLayer(shape, rows, blocks));
}

function roundLayer({ latentWidth, valueWidth }: RoundedShape, rows: Float32Array, blocks: number): RoundedLayer {
  const layer = {
    keys: new Int8Array(blocks * latentWidth * blockRows),
    keySteps: new Float32Array(blocks * blockRows),
    values: new Int8Array(blocks * blockRows * valueWidth),
    valueSteps: new Float32Array(blocks),
  };
  for (let block = 0; block < blocks; block++) {
    const first = block * blockRows;
    const own = rows.subarray(first * latentWidth, (first + blockRows) * latentWidth);
    roundKeys(own, latentWidth, layer.keys.subarray(first * latentWidth), layer.keySteps.subarray(first));
    const largest = largestValue(own, latentWidth, valueWidth);
    roundValues(own, latentWidth, valueWidth, largest, layer.values.subarray(first * valueWidth));
    layer.valueSteps[block] = largest / latentSteps / shareSteps;
  }
  return layer;
}

/** @param keys [width, 256], written @param keySteps of each row, written */
function roundKeys(rows: Float32Array, width: number, keys: Int8Array, keySteps: Float32Array): void {
  for (let row = 0; row < blockRows; row++) {
    const start = row * width;
    let largest = 0;
    for (let at = start; at < start + width; at++) largest = Math.max(largest, Math.abs(rows[at]!));
    keySteps[row] = largest / latentSteps;
    const perValue = largest === 0 ? 0 : latentSteps / largest;
    for (let column = 0; column < width; column++) {
      keys[column * blockRows + row] = toWhole(rows[start + column]! * perValue);
    }
  }
}

function largestValue(rows: Float32Array, width: number, valueWidth: number): number {
  let largest = 0;
  for (let start = 0; start < rows.length; start += width) {
    for (let at = start; at < start + valueWidth; at++) largest = Math.max(largest, Math.abs(rows[at]!));
  }
  return largest;
}

/** @param values [256, valueWidth], written */
function roundValues(rows: Float32Array, width: number, valueWidth: number, largest: number, values: Int8Array): void {
  const perValue = largest === 0 ? 0 : latentSteps / largest;
  for (let row = 0; row < blockRows; row++) {
    for (let column = 0; column < valueWidth; column++) {
      values[row * valueWidth + column] = toWhole(rows[row * width + column]! * perValue);
    }
  }
}

/** To the nearest whole number, halves up; of numbers from -127. Several times as fast as `Math.round`. */
function toWhole(value: number): number {
  return ((value + (latentSteps + 1.5)) | 0) - (latentSteps + 1);
}
