import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { BatchWatch } from './batch-watch.ts';
import { readLines } from './line-reader.ts';
import { buildQuarantinedResult, findSuspect, minStuckClaims, readTimedLog } from './line-suspicion.ts';
import { lineTokenOf } from './line-token.ts';
import type { BatchRecord, PlannedUnit } from './records.schema.ts';

export interface QuarantineDeps {
  readonly store: ObjectStore;
  readonly log: Logger;
  /** Owners that must die of a line while it runs alone. */
  readonly lineDeaths: number;
}

/** Name of the janitor in claims. */
const owner = 'janitor';

/**
 * Sets aside lines that end the workers which run them, so that the rest of their units can be finished. The janitor
 * claims the unit for that, like any owner: whoever runs it now is fenced off, and the next owner goes on behind the line.
 */
export class LineQuarantine {
  readonly #deps: QuarantineDeps;
  /** Claims at the last look into a log, by unit: without a new one there is nothing new to learn. */
  readonly #seen = new Map<string, number>();

  constructor(deps: QuarantineDeps) {
    this.#deps = deps;
  }

  /** @returns lines set aside @throws `corrupt.*`, `transient.*` */
  async look(record: BatchRecord, watch: BatchWatch): Promise<number> {
    let total = 0;
    for (const unit of watch.openUnits()) {
      const { stuckClaims, epoch } = watch.logOf(unit.id).state;
      if (stuckClaims < minStuckClaims(this.#deps.lineDeaths) || this.#seen.get(unit.id) === epoch) continue;
      this.#seen.set(unit.id, epoch);
      if (await this.#lookAt(record, watch, unit)) total += 1;
    }
    return total;
  }

  async #lookAt({ tenant, id: batchId }: BatchRecord, watch: BatchWatch, unit: PlannedUnit): Promise<boolean> {
    const { store, log, lineDeaths } = this.#deps;
    const entries = await readTimedLog(store, { tenant, batchId, unitId: unit.id });
    const suspicion = findSuspect(entries, unit, lineDeaths);
    if (suspicion === null) return false;
    const { lineIndex, deaths } = suspicion;
    const [line] = lineIndex === null ? [] : await readLines(store, tenant, batchId, [lineIndex]);
    const unitLog = watch.logOf(unit.id);
    if ((await unitLog.claim(owner)) === 'sealed') return false;
    // somebody may have finished it while the log was read
    const isOpen = line !== undefined && !unitLog.state.results.has(line.index);
    if (isOpen) {
      await unitLog.append([buildQuarantinedResult(line, lineTokenOf(batchId, line.index), deaths)]);
      const owners = deaths.map((death) => death.owner).join(', ');
      log.error({ batchId, unitId: unit.id, lineIndex: line.index, owners }, 'line set aside: its workers end');
    }
    if (unit.lines.every(({ index }) => unitLog.state.results.has(index))) await unitLog.seal('done');
    return isOpen;
  }
}
