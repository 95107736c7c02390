import { canonicalJson } from '../../base/canonical-json.ts';
import { sha256Hex } from '../../base/hash.ts';
import type { Provider } from '../model/operators/provider-operators.ts';
import { cpuFeatures } from './cpu-features.ts';
import { runtimeVersion } from './ort-session.ts';

/** Up to so many threads the bits of a row do not depend on their number. */
const freeThreads = 3;

/**
 * Names everything that decides the bits of a latent row: the graph with its weights (and so model, precision and
 * attention form), the provider, the runtime and the instructions of this CPU. Engines of equal digest share pages and
 * checkpoints. Devices do not tell their make to Node: two of different make differ in rounding, which is not
 * promised to be equal there.
 * @param graphs digest of all graphs and weights
 * @param rounding of the graph that rounds prefixes to INT8; null: none is
 */
export function engineDigest(
  graphs: string,
  {
    threads,
    provider,
    rounding,
  }: { readonly threads: number; readonly provider: Provider; readonly rounding: string | null },
): string {
  const parts = {
    version: 5,
    graphs,
    rounding,
    provider,
    runtime: runtimeVersion(),
    cpu: cpuFeatures(),
    threads: threads <= freeThreads ? null : threads,
  };
  return sha256Hex(canonicalJson(parts));
}
