import { sha256Hex } from '../../base/hash.ts';
import { invariant } from '../../base/invariant.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { buildRounding } from '../model/rounding-graph.ts';
import { blockRows, type LatentLayers, type LatentRounding, type RoundedLayer } from '../ports.ts';
import { floatTensor, type OrtFeeds, type OrtSession, openOrtSession } from './ort-session.ts';

/** Rows of one run: of 256K at a time the results in between would take gigabytes. */
const runRows = 8 * blockRows;

/** Rounds complete prefixes to INT8, with a graph of its own: a layer of 8,192 rows takes some milliseconds. */
export class SessionRounding implements LatentRounding {
  readonly blockBytes: number;
  /** sha256 over the graph. */
  readonly digest: string;
  readonly #session: OrtSession;
  readonly #width: number;
  readonly #valueWidth: number;

  private constructor(session: OrtSession, digest: string, config: ModelConfig) {
    this.#session = session;
    this.digest = digest;
    this.#width = latentWidth(config);
    this.#valueWidth = config.latentRank;
    const steps = (blockRows + 1) * Float32Array.BYTES_PER_ELEMENT;
    this.blockBytes = config.layers * (blockRows * (this.#width + this.#valueWidth) + steps);
  }

  static async open(config: ModelConfig, threads: number): Promise<SessionRounding> {
    const graph = buildRounding(latentWidth(config), config.latentRank);
    return new SessionRounding(await openOrtSession(graph, { threads }), sha256Hex(graph), config);
  }

  async round(prefix: LatentLayers, rows: number): Promise<readonly RoundedLayer[]> {
    const layers: RoundedLayer[] = [];
    for (const layer of prefix) layers.push(await this.#roundLayer(layer, rows));
    return layers;
  }

  async #roundLayer(layer: Float32Array, rows: number): Promise<RoundedLayer> {
    const rounded = {
      keys: new Int8Array(rows * this.#width),
      keySteps: new Float32Array(rows),
      values: new Int8Array(rows * this.#valueWidth),
      valueSteps: new Float32Array(rows / blockRows),
    };
    for (let row = 0; row < rows; row += runRows) {
      const end = Math.min(rows, row + runRows);
      const part = layer.subarray(row * this.#width, end * this.#width);
      const outputs = layerOf(await this.#session.run({ rows: floatTensor(part, [end - row, this.#width]) }));
      rounded.keys.set(outputs.keys, row * this.#width);
      rounded.keySteps.set(outputs.keySteps, row);
      rounded.values.set(outputs.values, row * this.#valueWidth);
      rounded.valueSteps.set(outputs.valueSteps, row / blockRows);
    }
    return rounded;
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

function layerOf({ keys, keySteps, values, valueSteps }: OrtFeeds): RoundedLayer {
  invariant(keys?.data instanceof Int8Array && values?.data instanceof Int8Array, 'rounded latents are INT8');
  invariant(keySteps?.data instanceof Float32Array && valueSteps?.data instanceof Float32Array, 'steps are float32');
  return { keys: keys.data, keySteps: keySteps.data, values: values.data, valueSteps: valueSteps.data };
}
