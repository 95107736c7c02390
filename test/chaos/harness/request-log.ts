import { closeSync, openSync, readSync } from 'node:fs';
import type { RequestLogEntry } from '../../../src/engine/request-log.ts';

/** Tokens come at least this often while an engine answers, on a busy machine too. */
const producingMs = 300;
const chunkBytes = 1 << 20;

/** One try of a request: tokens it had at its start, and has had last. */
interface RequestRun {
  readonly pid: number;
  readonly start: number;
  last: number;
  isEnded: boolean;
}

interface TokenMoment {
  readonly atMs: number;
  readonly pid: number;
}

/** What engines did, in their own words: the witness for work done twice, and for when work went on. */
export class RequestLog {
  readonly #path: string;
  readonly #runs = new Map<string, RequestRun[]>();
  readonly #moments: TokenMoment[] = [];
  #offset = 0;
  #rest = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  #read(): void {
    const file = openSync(this.#path, 'a+');
    try {
      const chunk = Buffer.alloc(chunkBytes);
      for (;;) {
        const bytes = readSync(file, chunk, 0, chunkBytes, this.#offset);
        if (bytes === 0) return;
        this.#offset += bytes;
        this.#split(Buffer.concat([this.#rest, chunk.subarray(0, bytes)]));
      }
    } finally {
      closeSync(file);
    }
  }

  #split(bytes: Buffer): void {
    const end = bytes.lastIndexOf('\n') + 1;
    this.#rest = Buffer.from(bytes.subarray(end));
    for (const line of bytes.toString('utf8', 0, end).split('\n')) {
      if (line !== '') this.#take(JSON.parse(line) as RequestLogEntry);
    }
  }

  #take({ type, id: wireId, pid, tokens, atMs }: RequestLogEntry): void {
    // every try of a request has a number of its own behind its name
    const id = wireId.replace(/#\d+$/, '');
    const runs = this.#runs.get(id) ?? [];
    this.#runs.set(id, runs);
    if (type === 'start') runs.push({ pid, start: tokens, last: tokens, isEnded: false });
    if (type === 'tokens') this.#moments.push({ atMs, pid });
    // a worker that was thought dead may go on beside the next one
    const run = runs.findLast((one) => one.pid === pid);
    if (run === undefined) return;
    run.last = Math.max(run.last, tokens);
    if (type === 'end') run.isEnded = true;
  }

  /** Was a token produced a moment ago? */
  isProducing(): boolean {
    this.#read();
    const last = this.#moments.at(-1);
    return last !== undefined && Date.now() - last.atMs <= producingMs;
  }

  /** Requests of this batch answered at least once. */
  endedTotal(batchId: string): number {
    this.#read();
    return [...this.#runs].filter(([id, runs]) => id.startsWith(batchId) && runs.some((run) => run.isEnded)).length;
  }

  /** The engine that last produced a token for this line. */
  lastEngineOf(batchId: string, lineIndex: number): number | undefined {
    this.#read();
    const name = `${batchId}/${lineIndex}`;
    // one line may lead to several requests, whose names go on behind its own
    const ofLine = [...this.#runs].filter(([id]) => id.startsWith(name) && !/\d/.test(id.charAt(name.length)));
    return ofLine.flatMap(([, runs]) => runs.filter((run) => run.last > run.start)).at(-1)?.pid;
  }

  /** Unix time of the first token after `atMs` by another engine than those that end now; null: none came. */
  firstTokenAfter(atMs: number, endingPids: readonly number[]): number | null {
    this.#read();
    const isNext = (moment: TokenMoment): boolean => moment.atMs > atMs && !endingPids.includes(moment.pid);
    return this.#moments.find(isNext)?.atMs ?? null;
  }

  producedTokens(): number {
    this.#read();
    return sum([...this.#runs.values()].flat().map(({ start, last }) => last - start));
  }

  /** Tokens that were produced and are in no answer: those of the runs of a request beyond what its last answer has. */
  wastedTokens(): number {
    this.#read();
    return sum(
      [...this.#runs.values()].map((runs) => {
        const useful = runs.findLast(({ isEnded }) => isEnded)?.last ?? 0;
        return Math.max(0, sum(runs.map(({ start, last }) => last - start)) - useful);
      }),
    );
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
