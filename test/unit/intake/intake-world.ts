import { silentLogger } from '../../../src/base/log.ts';
import { BatchStore, findPlan, openUnitLog, readLines } from '../../../src/batch/index.ts';
import type { BatchRecord } from '../../../src/batch/records.schema.ts';
import { dropOf } from '../../../src/intake/drop.ts';
import type { DropStatus } from '../../../src/intake/index.ts';
import {
  Intake,
  type IntakeRules,
  type OutboxManifest,
  outputKeysOf,
  type Receipt,
} from '../../../src/intake/index.ts';
import { keys, type ObjectStore } from '../../../src/storage/index.ts';
import { resultOf, tenant, World } from '../batch/batch-world.ts';
import { WatchedStore } from './watched-store.ts';

export const settleMs = 5_000;

export interface Outbox {
  readonly receipt: Receipt | undefined;
  readonly status: DropStatus | undefined;
  readonly results: readonly { readonly custom_id: string }[] | undefined;
  readonly manifest: OutboxManifest | undefined;
}

/** The bucket with its janitor, a worker that answers every line, and as many intakes as a test starts. */
export class IntakeWorld extends World {
  readonly rules: IntakeRules = { models: ['quire-nano'], maxFileBytes: 10_000, lines: this.limits };
  /** Batches the worker has run, in the order of their ends. */
  readonly ranBatches: string[] = [];

  startIntake(store: ObjectStore = this.store, rules: IntakeRules = this.rules): Intake {
    const { clock, queue, bus } = this;
    const batches = new BatchStore({ store, clock });
    const intake = new Intake({ store, batches, queue, bus, clock, rules, log: silentLogger }, { settleMs });
    bus.subscribe((event) => intake.hear(event));
    return intake;
  }

  watchStore(): WatchedStore {
    return new WatchedStore(this.store);
  }

  async drop(key: string, text: string | Uint8Array): Promise<string> {
    const { etag } = await this.store.put(key, Buffer.from(text));
    return etag;
  }

  async dropTemplate(folder: string, template: unknown): Promise<void> {
    await this.drop(`${folder}analysis.json`, JSON.stringify(template));
  }

  /** Time passes second by second; the intake looks and tends in each. */
  async pass(intake: Intake, seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      await intake.scan();
      await intake.tend();
      this.clock.advance(1_000);
    }
    await intake.scan();
    await intake.tend();
  }

  /** Janitor and worker end every batch there is. */
  async runBatches(): Promise<void> {
    await this.janitor.sweep();
    for await (const page of this.batches.listOpen()) {
      for (const { batchId } of page) {
        if (await this.runUnits(batchId)) this.ranBatches.push(batchId);
      }
    }
    this.clock.advance(1_100);
    await this.janitor.sweep();
    this.clock.advance(1_100);
    await this.janitor.sweep();
  }

  /** Everything goes on until no drop is open. */
  async finish(intake: Intake, rounds = 20): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      await this.pass(intake, 6);
      await this.runBatches();
      await this.pass(intake, 3);
      if (intake.openTotal === 0) return;
    }
    throw new Error(`${intake.openTotal} drops are still open`);
  }

  async runUnits(batchId: string, most = Number.POSITIVE_INFINITY): Promise<boolean> {
    const plan = await findPlan(this.store, tenant, batchId);
    const record = await this.batches.findBatch(tenant, batchId);
    if (plan === undefined || record?.status !== 'in_progress') return false;
    let left = most;
    for (const unit of plan.units) {
      const log = openUnitLog(this.store, tenant, batchId, unit.id);
      if ((await log.fold()).sealed !== null) continue;
      const missing = unit.lines.map(({ index }) => index).filter((index) => !log.state.results.has(index));
      const wanted = missing.slice(0, left);
      left -= wanted.length;
      await log.claim('worker');
      const lines = await readLines(this.store, tenant, batchId, wanted);
      await log.append(lines.map(({ index, custom_id: id }) => resultOf(index, id)));
      if (wanted.length === missing.length) await log.seal('done');
    }
    return true;
  }

  async outboxOf(key: string): Promise<Outbox> {
    const names = outputKeysOf(key);
    const text = await this.readText(names.results);
    return {
      receipt: parse<Receipt>(await this.readText(names.receipt)),
      status: parse<DropStatus>(await this.readText(names.status)),
      results: text?.split('\n').flatMap((line) => parse<{ custom_id: string }>(line) ?? []),
      manifest: parse<OutboxManifest>(await this.readText(names.manifest)),
    };
  }

  async batchesOf(): Promise<readonly BatchRecord[]> {
    const { data } = await this.batches.listBatches(tenant, { limit: 1_000 });
    return data;
  }

  async openMarkers(): Promise<number> {
    return (await this.store.list(keys.openDropPrefix(tenant))).objects.length;
  }
}

const parse = <Value>(text: string | undefined): Value | undefined =>
  text === undefined || text === '' ? undefined : (JSON.parse(text) as Value);

export const batchIdOf = (key: string, etag: string): string => dropOf(key, etag).batchId;
