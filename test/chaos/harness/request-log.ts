import { closeSync, openSync, readSync } from 'node:fs';
import type { RequestLogEntry } from '../../../src/engine/request-log.ts';

/** Tokens come at least this often while an engine answers, on a busy machine too. */
const producingMs = 300;

/** What engines did, in their own words: the witness for work done twice, and for when work went on. */
export class RequestLog {
  readonly #path: string;
  readonly #entries: RequestLogEntry[] = [];
  #offset = 0;
  #rest = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** Everything so far, in order of writing. */
  read(): readonly RequestLogEntry[] {
    const file = openSync(this.#path, 'a+');
    try {
      const chunk = Buffer.alloc(1 << 20);
      for (;;) {
        const bytes = readSync(file, chunk, 0, chunk.length, this.#offset);
        if (bytes === 0) return this.#entries;
        this.#offset += bytes;
        this.#take(chunk.toString('utf8', 0, bytes));
      }
    } finally {
      closeSync(file);
    }
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#entries.push(JSON.parse(line) as RequestLogEntry);
  }

  /** Was a token produced a moment ago? */
  isProducing(): boolean {
    const last = this.read().findLast(({ type }) => type === 'tokens');
    return last !== undefined && Date.now() - last.atMs <= producingMs;
  }

  /** Requests of this batch answered at least once. */
  endedTotal(batchId: string): number {
    return new Set(this.#of(batchId, 'end').map(({ id }) => id)).size;
  }

  /** Requests answered more than once: compute that was spent twice, though its result counts once. */
  endedTwice(batchId: string): number {
    const times = new Map<string, number>();
    for (const { id } of this.#of(batchId, 'end')) times.set(id, (times.get(id) ?? 0) + 1);
    return [...times.values()].filter((total) => total > 1).length;
  }

  #of(batchId: string, type: RequestLogEntry['type']): readonly RequestLogEntry[] {
    return this.read().filter((entry) => entry.type === type && entry.id.startsWith(batchId));
  }

  /** Unix time of the first token after `atMs` by another engine than those that end now; null: none came. */
  firstTokenAfter(atMs: number, endingPids: readonly number[]): number | null {
    const isNext = ({ type, atMs: tokenMs, pid }: RequestLogEntry): boolean =>
      type === 'tokens' && tokenMs > atMs && !endingPids.includes(pid);
    return this.read().find(isNext)?.atMs ?? null;
  }

  producedTokens(): number {
    return sum([...this.#runs().values()].flat().map(({ start, last }) => last - start));
  }

  /** Tokens that were produced and are in no answer: those of the runs of a request beyond what its last answer has. */
  wastedTokens(): number {
    return sum(
      [...this.#runs().values()].map((runs) => {
        const useful = runs.findLast(({ isEnded }) => isEnded)?.last ?? 0;
        return Math.max(0, sum(runs.map(({ start, last }) => last - start)) - useful);
      }),
    );
  }

  #runs(): ReadonlyMap<string, readonly RequestRun[]> {
    const runs = new Map<string, RequestRun[]>();
    for (const { type, id, pid, tokens } of this.read()) {
      const ofRequest = runs.get(id) ?? [];
      runs.set(id, ofRequest);
      if (type === 'start') ofRequest.push({ pid, start: tokens, last: tokens, isEnded: false });
      // a worker that was thought dead may go on beside the next one
      const run = ofRequest.findLast((one) => one.pid === pid);
      if (run === undefined) continue;
      run.last = Math.max(run.last, tokens);
      if (type === 'end') run.isEnded = true;
    }
    return runs;
  }
}

/** One try of a request: tokens it had at its start, and has had last. */
interface RequestRun {
  readonly pid: number;
  readonly start: number;
  last: number;
  isEnded: boolean;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
