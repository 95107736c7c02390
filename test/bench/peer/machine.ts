import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseModelConfig } from '../../../src/engine/model/model-config.ts';
import { measureProductRates } from './product-rates.ts';
import { type ProductRate, planProducts } from './products.ts';
import { measureReadBandwidth } from './read-bandwidth.ts';

/** What the machine gives, at the shapes of one model. */
export interface MachineFigures {
  readonly rates: readonly ProductRate[];
  /** Bytes a second, all threads together. */
  readonly bandwidth: number;
}

export interface MachineJob {
  readonly type: 'machine';
  readonly folder: string;
  readonly threads: number;
}

export async function measureMachine({ folder, threads }: MachineJob): Promise<MachineFigures> {
  const config = parseModelConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
  const bandwidth = await measureReadBandwidth(threads);
  return { rates: await measureProductRates(planProducts(config), threads), bandwidth };
}
