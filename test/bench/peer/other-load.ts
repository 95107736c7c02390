import { cpus } from 'node:os';

/** Watches how much of the machine other programs use: a figure from a busy machine says little. */
export class OtherLoad {
  readonly #startMs = performance.now();
  readonly #busyMs = busyMs();
  readonly #own = process.cpuUsage();

  /** Share of all cores since this was made, 0 to 1. */
  share(): number {
    const { user, system } = process.cpuUsage(this.#own);
    const others = busyMs() - this.#busyMs - (user + system) / 1000;
    return Math.max(0, others / ((performance.now() - this.#startMs) * cpus().length));
  }
}

/** Of all cores since the machine started. */
function busyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}
