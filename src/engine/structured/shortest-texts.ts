import type { State } from './network.ts';

const never = Number.POSITIVE_INFINITY;

/** Of each state, the fewest bytes of a text that leads from it to the end of its rule; infinite where none does. */
export function findShortest(states: readonly State[], ends: ReadonlySet<number>): Float64Array {
  const shortest = new Float64Array(states.length).fill(never);
  for (const end of ends) shortest[end] = 0;
  const lower = (index: number): boolean => {
    const bytes = measure(states[index] as State, (state) => shortest[state] as number, shortest);
    if (bytes >= (shortest[index] as number)) return false;
    shortest[index] = bytes;
    return true;
  };
  settle(0, states.length, lower);
  return shortest;
}

/**
 * Fewest bytes from `from` to `target` by way of the states [start, end) alone; infinite where there is no such way.
 * @param shortest of all states, for the rules that are called on the way
 */
export function measureWay(
  states: readonly State[],
  from: number,
  target: number,
  [start, end]: readonly [number, number],
  shortest: Float64Array,
): number {
  const ways = new Float64Array(end - start).fill(never);
  const wayFrom = (state: number): number => {
    if (state === target) return 0;
    return state >= start && state < end ? (ways[state - start] as number) : never;
  };
  settle(start, end, (index) => {
    const bytes = measure(states[index] as State, wayFrom, shortest);
    if (bytes >= (ways[index - start] as number)) return false;
    ways[index - start] = bytes;
    return true;
  });
  return measure(states[from] as State, wayFrom, shortest);
}

/** Calls `lower` for [start, end) until nothing gets lower. Edges mostly lead forward, so going backward is fast. */
function settle(start: number, end: number, lower: (index: number) => boolean): void {
  for (let isSettled = false; !isSettled; ) {
    isSettled = true;
    for (let index = end - 1; index >= start; index--) {
      if (lower(index)) isSettled = false;
    }
  }
}

function measure(state: State, bytesFrom: (state: number) => number, shortest: Float64Array): number {
  let best = never;
  for (const { to } of state.bytes) best = Math.min(best, 1 + bytesFrom(to));
  for (const to of state.empty) best = Math.min(best, bytesFrom(to));
  for (const { rule, to } of state.calls) best = Math.min(best, (shortest[rule.start] as number) + bytesFrom(to));
  return best;
}
