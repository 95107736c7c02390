import type { LineJournal, RequestState } from '../../src/batch/index.ts';

/** A journal that only remembers, of a line under its first claim unless told otherwise. */
export class MemoryJournal implements LineJournal {
  readonly claims: number;
  readonly states: Map<string, RequestState>;

  constructor(claims = 1, states: Readonly<Record<string, RequestState>> = {}) {
    this.claims = claims;
    this.states = new Map(Object.entries(states));
  }

  find(requestId: string): RequestState | undefined {
    return this.states.get(requestId);
  }

  save(requestId: string, state: RequestState): void {
    this.states.set(requestId, state);
  }
}
