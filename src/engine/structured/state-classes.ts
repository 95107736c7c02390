import type { Chain, Network } from './network.ts';
import { measureWay } from './shortest-texts.ts';

interface PlacedChain extends Chain {
  /** The chain in one of whose copies this one lies, or -1. */
  readonly parent: number;
  readonly depth: number;
  /** Fewest bytes of one repetition; not a number until it is asked for. */
  partBytes: number;
}

/**
 * Which states of a network read the same, as long as a text has no more than so many bytes. Two places in a chain do
 * when neither its least nor its greatest number of repetitions can be reached with it.
 *
 * C1. `representative(a, n) = representative(b, n)`: every text of up to n bytes can be read from both or from neither,
 *     since shifting a way by whole copies keeps it a way (N3).
 */
export class StateClasses {
  readonly #network: Network;
  readonly #shortest: Float64Array;
  readonly #chains: readonly PlacedChain[];
  /** Of each state, the innermost chain it lies in, or -1. */
  readonly #chainOf: Int32Array;

  constructor(network: Network, shortest: Float64Array) {
    this.#network = network;
    this.#shortest = shortest;
    this.#chains = placeChains(network.chains);
    this.#chainOf = new Int32Array(network.states.length).fill(-1);
    // outer chains come before those inside them
    for (const [index, { base, stride, copies }] of this.#chains.entries()) {
      this.#chainOf.fill(index, base, base + stride * copies);
    }
  }

  /** @param bytes that may be read from the state on */
  representative(state: number, bytes: number): number {
    let shifted = state;
    for (let depth = 0; ; depth++) {
      const chain = this.#findChain(shifted, depth);
      if (chain === undefined) return shifted;
      const copy = Math.floor((shifted - chain.base) / chain.stride);
      shifted -= (copy - this.#sameCopy(chain, copy, bytes)) * chain.stride;
    }
  }

  /** The first copy of the chain that reads the same. */
  #sameCopy(chain: PlacedChain, copy: number, bytes: number): number {
    const { copies, min, isBounded } = chain;
    const part = this.#measurePart(chain);
    // what is left when this copy is done; to notice a border takes a byte more than to reach it
    const required = Math.max(min - copy - 1, 0);
    const possible = copies - copy - 1;
    if (required > 0) return required * part >= bytes ? 0 : copy;
    return !isBounded || possible * part >= bytes ? Math.max(min - 1, 0) : copy;
  }

  #measurePart(chain: PlacedChain): number {
    if (Number.isNaN(chain.partBytes)) {
      const { from, base, stride } = chain;
      const { states } = this.#network;
      chain.partBytes = measureWay(states, from, base, [base + 1, base + stride], this.#shortest);
      // no way: the part cannot be read at all, and nothing is known about how its copies are left
      if (chain.partBytes === Number.POSITIVE_INFINITY) chain.partBytes = 0;
    }
    return chain.partBytes;
  }

  #findChain(state: number, depth: number): PlacedChain | undefined {
    let chain = this.#chains[this.#chainOf[state] as number];
    while (chain !== undefined && chain.depth > depth) chain = this.#chains[chain.parent];
    return chain?.depth === depth ? chain : undefined;
  }
}

function placeChains(chains: readonly Chain[]): readonly PlacedChain[] {
  const sorted = [...chains].sort((a, b) => a.base - b.base || b.stride * b.copies - a.stride * a.copies);
  const placed: PlacedChain[] = [];
  const open: number[] = [];
  for (const chain of sorted) {
    const isInside = (index: number): boolean => {
      const outer = placed[index];
      return outer !== undefined && chain.base < outer.base + outer.stride * outer.copies;
    };
    while (open.length > 0 && !isInside(open.at(-1) ?? -1)) open.pop();
    placed.push({ ...chain, parent: open.at(-1) ?? -1, depth: open.length, partBytes: Number.NaN });
    open.push(placed.length - 1);
  }
  return placed;
}
