import { AppError } from '../base/errors.ts';
import { type Blame, blameOf, type EngineExit } from './engine-channel.ts';

/**
 * Which requests may be what ends engine processes. Requests are known by their own id, the same for every try.
 *
 * S1. Only ends that a request can cause count: `blameOf` says which. SIGTERM and exit code 0 blame nobody.
 * S2. Crash: a request in the run that was going on is a suspect at once; one that only waited in the process is one
 *     at its second such crash, because what reads a request can fail too.
 * S3. SIGKILL mostly comes from outside: a request is a suspect at the second that met it in a run. Kills before its
 *     answer last grew do not count, since memory runs out at one place again and again.
 * S4. A suspect runs alone. One crash then, or the third SIGKILL, and it is quarantined: that end has one culprit.
 * S5. Whoever is answered, by a result or by an error of its own, is cleared. Cancelling proves nothing.
 * S6. Both tables are bounded; the entry that was not touched for longest goes first.
 */
export class Suspects {
  readonly #marks = new Map<string, Marks>();
  readonly #quarantined = new Map<string, AppError>();

  /** Must this request have an engine to itself? (S4) */
  mustRunAlone(id: string): boolean {
    const marks = this.#marks.get(id);
    return marks !== undefined && isSuspect(marks);
  }

  /** How often it was met by an end that blames, at least 1 for a suspect: each time it may stay alone for longer. */
  ends(id: string): number {
    const marks = this.#marks.get(id);
    return marks === undefined ? 0 : totalOf(marks);
  }

  /** The error with which a quarantined request is refused. */
  findQuarantined(id: string): AppError | undefined {
    return this.#quarantined.get(id);
  }

  /** Takes down who was where when a process ended. */
  processEnded(exit: EngineExit, { alone, met }: ProcessContents): void {
    const blame = blameOf(exit);
    if (blame === 'none') return;
    for (const each of met) this.#mark(each, blame, exit.how, alone);
  }

  /** It was answered (S5). */
  clear(id: string): void {
    this.#marks.delete(id);
  }

  #mark(met: MetRequest, blame: Blame, how: string, alone: boolean): void {
    const { id } = met;
    const marks = this.#marks.get(id) ?? unmarked;
    const ranAlone = alone && isSuspect(marks);
    const marked = blame === 'kill' ? addKill(marks, met, ranAlone) : addCrash(marks, met);
    this.#marks.delete(id);
    if (ranAlone && (blame === 'crash' || marked.killsAlone >= maxKillsAlone)) {
      keep(this.#quarantined, id, quarantineError(id, marked, how), maxQuarantined);
    } else if (totalOf(marked) > 0) {
      keep(this.#marks, id, marked, maxMarked);
    }
  }
}

/** What an engine process held when it ended. */
export interface ProcessContents {
  /** One request only, on purpose. */
  readonly alone: boolean;
  readonly met: readonly MetRequest[];
}

export interface MetRequest {
  readonly id: string;
  /** Was it in the run that was going on? */
  readonly inRun: boolean;
  /** Tokens of its answer that are safe, by its last checkpoint. */
  readonly tokens: number;
}

interface Marks {
  readonly crashesInRun: number;
  readonly crashesWaiting: number;
  readonly killsInRun: number;
  readonly killsAlone: number;
  /** Of its answer at the last kill. */
  readonly tokens: number;
}

const unmarked: Marks = { crashesInRun: 0, crashesWaiting: 0, killsInRun: 0, killsAlone: 0, tokens: 0 };

const killsUntilSuspect = 2;
const crashesWaitingUntilSuspect = 2;
/** The system kills the process that is largest, which the request need not have made it. */
const maxKillsAlone = 3;
const maxMarked = 4_096;
const maxQuarantined = 1_024;

function isSuspect({ crashesInRun, crashesWaiting, killsInRun }: Marks): boolean {
  return crashesInRun > 0 || crashesWaiting >= crashesWaitingUntilSuspect || killsInRun >= killsUntilSuspect;
}

function totalOf(marks: Marks): number {
  return marks.crashesInRun + marks.crashesWaiting + marks.killsInRun + marks.killsAlone;
}

function addCrash(marks: Marks, { inRun }: MetRequest): Marks {
  return inRun
    ? { ...marks, crashesInRun: marks.crashesInRun + 1 }
    : { ...marks, crashesWaiting: marks.crashesWaiting + 1 };
}

function addKill(marks: Marks, { inRun, tokens }: MetRequest, ranAlone: boolean): Marks {
  if (!inRun && !ranAlone) return marks;
  if (tokens > marks.tokens) return { ...marks, killsInRun: 1, killsAlone: 0, tokens };
  return ranAlone ? { ...marks, killsAlone: marks.killsAlone + 1 } : { ...marks, killsInRun: marks.killsInRun + 1 };
}

function quarantineError(id: string, marks: Marks, how: string): AppError {
  const ends = totalOf(marks);
  const what = `the engine process ended ${ends} times with request ${id} in it, last while it ran alone: ${how}`;
  return new AppError('bug.engine-crash', what, { details: { requestId: id, ends, how } });
}

function keep<Value>(table: Map<string, Value>, id: string, value: Value, most: number): void {
  table.set(id, value);
  for (const oldest of table.keys()) {
    if (table.size <= most) return;
    table.delete(oldest);
  }
}
