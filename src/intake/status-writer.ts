import type { Clock } from '../base/clock.ts';
import type { BatchProgress, BatchRecord } from '../batch/index.ts';
import { type Activity, buildStatus, type DropStatus, saysTheSame } from './drop-status.ts';
import type { FencedOutputs } from './fenced-outputs.ts';

const minIntervalMs = 1_000;

/** Writes one drop's status when it says something new, once a second at most, whoever wrote it last. */
export class StatusWriter {
  readonly #clock: Clock;
  readonly #outputs: FencedOutputs;
  readonly #key: string;
  #last: DropStatus | null = null;

  constructor({ clock }: { readonly clock: Clock }, outputs: FencedOutputs, key: string) {
    this.#clock = clock;
    this.#outputs = outputs;
    this.#key = key;
  }

  /** @returns when to try again; null when what is stored is up to date. @throws `ownership.lost`, `transient.*` */
  async write(batch: BatchRecord, progress: BatchProgress | null, activity: Activity): Promise<number | null> {
    this.#last ??= await this.#load();
    const nowMs = this.#clock.nowMs();
    const next = buildStatus(batch, progress, activity, nowMs);
    if (this.#last !== null) {
      if (saysTheSame(this.#last, next)) return null;
      const writtenMs = Date.parse(this.#last.at);
      // a time to come is another machine's clock: no reason to wait
      if (writtenMs <= nowMs && nowMs - writtenMs < minIntervalMs) return writtenMs + minIntervalMs;
    }
    await this.#outputs.write(this.#key, Buffer.from(JSON.stringify(next)), 'application/json');
    this.#last = next;
    return null;
  }

  /** Somebody else may have written it. */
  forget(): void {
    this.#last = null;
  }

  async #load(): Promise<DropStatus | null> {
    const object = await this.#outputs.read(this.#key);
    if (object === undefined) return null;
    try {
      const status = JSON.parse(Buffer.from(object.body).toString('utf8')) as DropStatus;
      return typeof status.at === 'string' ? status : null;
    } catch {
      // whatever it is, it is replaced
      return null;
    }
  }
}
