import type { Tensor } from 'onnxruntime-node';
import { ownBlockInputs, ownIndexInputs } from '../model/architectures/deepseek-v3.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { OwnBlocks } from '../ports.ts';
import { Int64Rows } from './int64-rows.ts';
import { RoundedFeeds } from './rounded-feeds.ts';

/** Own blocks in INT8 as graphs read them (`OwnAttention`): the blocks, and whose they are. */
export class OwnBlockFeeds {
  readonly #blocks: RoundedFeeds;

  constructor(config: ModelConfig) {
    this.#blocks = new RoundedFeeds(config, ownBlockInputs);
  }

  /** @param firstLayer layers before it are left out */
  add(feeds: Record<string, Tensor>, own: OwnBlocks | null, sequences: number, firstLayer = 0): void {
    const all = own?.places ?? [];
    const longest = all.reduce((most, { length }) => Math.max(most, length), 0);
    const layers = longest === 0 ? null : (own?.layers ?? null);
    const total = layers?.[0]?.valueSteps.length ?? 0;
    const owners = new Int64Rows(total);
    const cells = new Int64Rows(total);
    const places = new Int64Rows(sequences * longest, total);
    for (const [sequence, blocks] of all.entries()) {
      for (const [place, block] of blocks.entries()) {
        const cell = sequence * longest + place;
        owners.set(block, sequence);
        cells.set(block, cell);
        places.set(cell, block);
      }
    }
    this.#blocks.add(feeds, layers, firstLayer);
    feeds[ownIndexInputs.owners] = owners.tensor([total]);
    feeds[ownIndexInputs.cells] = cells.tensor([total]);
    feeds[ownIndexInputs.places] = places.tensor([sequences, longest]);
  }
}
