import type { GenerateCheckpoint, GenerateResult } from '../engine/index.ts';

/** What interruptions did to one engine request so far, over all claims of its unit. */
interface RequestPast {
  /** Tries that ended with their engine process, under whichever worker. */
  readonly retries: number;
  /** `tokens` once an unequal engine has gone on with it; null: nothing was taken over, or always by an equal one. */
  readonly resumed: 'tokens' | null;
  /** Completion tokens that were written, lost, and had to be computed again. */
  readonly wastedTokens: number;
}

/** How far one engine request of a line is. */
export type RequestState =
  | (RequestPast & { readonly type: 'running'; readonly checkpoint: GenerateCheckpoint | null })
  | (RequestPast & { readonly type: 'ended'; readonly result: GenerateResult });

/** The engine requests of one line by their ids, as far as they have come. */
export interface LineState {
  readonly index: number;
  readonly requests: Readonly<Record<string, RequestState>>;
}

/** What a line knows of its earlier life, and where it writes down how far it is. */
export interface LineJournal {
  /** Claims of the unit that the line has lived through, this one included. */
  readonly claims: number;
  find(requestId: string): RequestState | undefined;
  /** Never waits: it is stored with the next checkpoint of the unit. */
  save(requestId: string, state: RequestState): void;
}

export interface UnitJournalOptions {
  readonly claims: number;
  /** From the newest checkpoint; lines that are finished are left out by the caller. */
  readonly saved: readonly LineState[];
  /** Most completion tokens that were heard of, by request id, before the unit was taken over. */
  readonly heard: ReadonlyMap<string, number>;
  /** @param isLong it is worth a checkpoint now; otherwise with the next one, unless the line ends first */
  readonly onChange: (isLong: boolean) => void;
}

/**
 * The unfinished lines of one unit under one claim.
 *
 * N1. A line is in the journal until its result is handed over for its segment: it is in one of the two, or in both.
 * N2. `hasUnsaved` is true exactly while a line in the journal is further than in the last snapshot.
 */
export class UnitJournal {
  readonly #claims: number;
  readonly #heard: ReadonlyMap<string, number>;
  readonly #onChange: (isLong: boolean) => void;
  readonly #lines = new Map<number, Map<string, RequestState>>();
  /** Saved states that no line has taken up yet, with those of lines that wait for their turn. */
  readonly #unsaved = new Set<number>();
  readonly #running = new Set<string>();

  constructor({ claims, saved, heard, onChange }: UnitJournalOptions) {
    this.#claims = claims;
    this.#heard = heard;
    this.#onChange = onChange;
    for (const { index, requests } of saved) this.#lines.set(index, new Map(Object.entries(requests)));
  }

  open(index: number): LineJournal {
    const requests = this.#lines.get(index) ?? new Map<string, RequestState>();
    this.#lines.set(index, requests);
    const begun = new Set<string>();
    return {
      claims: this.#claims,
      find: (id) => (begun.has(id) ? requests.get(id) : this.#addHeard(id, requests.get(id))),
      save: (id, state) => {
        begun.add(id);
        // a line that has ended may still hear of a checkpoint on its way
        if (this.#lines.get(index) === requests) this.#save(index, requests, id, state);
      },
    };
  }

  /** The line is finished: its result says the rest. */
  close(index: number): void {
    for (const id of this.#lines.get(index)?.keys() ?? []) this.#running.delete(id);
    this.#lines.delete(index);
    this.#unsaved.delete(index);
  }

  /** Ids of the requests that run now. */
  get running(): readonly string[] {
    return [...this.#running];
  }

  get hasUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** All that is worth keeping, in the order of the lines; it counts as saved from now on. */
  takeSnapshot(): readonly LineState[] {
    this.#unsaved.clear();
    return [...this.#lines]
      .map(([index, requests]) => ({
        index,
        requests: Object.fromEntries([...requests].filter(([, state]) => isWorthKeeping(state))),
      }))
      .filter(({ requests }) => Object.keys(requests).length > 0)
      .sort((a, b) => a.index - b.index);
  }

  /** A snapshot was not stored. */
  markUnsaved(lines: readonly LineState[]): void {
    for (const { index } of lines) if (this.#lines.has(index)) this.#unsaved.add(index);
  }

  #save(index: number, requests: Map<string, RequestState>, id: string, state: RequestState): void {
    const before = requests.get(id);
    requests.set(id, state);
    if (state.type === 'running') this.#running.add(id);
    else this.#running.delete(id);
    if (!isFurther(before, state)) return;
    this.#unsaved.add(index);
    this.#onChange(state.type === 'running' || (before?.type === 'running' && before.checkpoint !== null));
  }

  /** What the last owner had written beyond its checkpoint, as far as anybody heard of it. */
  #addHeard(id: string, state: RequestState | undefined): RequestState | undefined {
    const heard = this.#heard.get(id) ?? 0;
    if (state?.type === 'ended') return state;
    const lost = Math.max(0, heard - (state?.checkpoint?.tokenIds.length ?? 0));
    if (lost === 0) return state;
    const known = state ?? { type: 'running', checkpoint: null, retries: 0, resumed: null, wastedTokens: 0 };
    return { ...known, wastedTokens: known.wastedTokens + lost };
  }
}

const isWorthKeeping = (state: RequestState): boolean =>
  state.type === 'ended' || state.retries > 0 || state.wastedTokens > 0 || tokensOf(state) > 0;

function isFurther(before: RequestState | undefined, after: RequestState): boolean {
  if (after.type === 'ended') return before?.type !== 'ended';
  const past = before?.type === 'running' ? tokensOf(before) : 0;
  return tokensOf(after) > past;
}

/** Completion tokens that a state keeps from being computed again. */
export function tokensOf(state: RequestState): number {
  return state.type === 'ended' ? state.result.completionTokens : (state.checkpoint?.tokenIds.length ?? 0);
}
