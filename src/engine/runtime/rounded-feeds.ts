import type { Tensor } from 'onnxruntime-node';
import type { RoundedNames } from '../model/architectures/deepseek-v3.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { blockRows, type RoundedLayer } from '../ports.ts';
import { byteTensor, floatTensor } from './ort-session.ts';

type Feeds = Record<string, Tensor>;

const noBlocks: RoundedLayer = {
  keys: new Int8Array(),
  keySteps: new Float32Array(),
  values: new Int8Array(),
  valueSteps: new Float32Array(),
};

/** Blocks in INT8 as graphs read them, by the names of one kind of inputs. */
export class RoundedFeeds {
  readonly #width: number;
  readonly #valueWidth: number;
  readonly #names: readonly RoundedNames[];
  /** Made once for each array of layers: blocks are read in run after run. */
  readonly #known = new WeakMap<readonly RoundedLayer[], readonly Feeds[]>();
  readonly #none: readonly RoundedLayer[];

  constructor(config: ModelConfig, namesOf: (layer: number) => RoundedNames) {
    this.#width = latentWidth(config);
    this.#valueWidth = config.latentRank;
    this.#names = Array.from({ length: config.layers }, (_, layer) => namesOf(layer));
    this.#none = Array.from({ length: config.layers }, () => noBlocks);
  }

  /** Adds inputs of layers from `first` on. @param layers null: there are no blocks */
  add(feeds: Feeds, layers: readonly RoundedLayer[] | null, first: number): void {
    const all = layers ?? this.#none;
    let known = this.#known.get(all);
    if (known === undefined) {
      known = all.map((layer, index) => this.#tensorsOf(layer, this.#names[index] as RoundedNames));
      this.#known.set(all, known);
    }
    for (let layer = first; layer < known.length; layer++) Object.assign(feeds, known[layer]);
  }

  #tensorsOf({ keys, keySteps, values, valueSteps }: RoundedLayer, names: RoundedNames): Feeds {
    const blocks = valueSteps.length;
    return {
      [names.keys]: byteTensor(keys, [blocks, this.#width, blockRows]),
      [names.keySteps]: floatTensor(keySteps, [blocks, 1, blockRows]),
      [names.values]: byteTensor(values, [blocks, blockRows, this.#valueWidth]),
      [names.valueSteps]: floatTensor(valueSteps, [blocks, 1, 1]),
    };
  }
}
