import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAppError } from '../../../src/base/errors.ts';
import { BatchStore, type Janitor } from '../../../src/batch/index.ts';
import type { LineResult, OutputLine } from '../../../src/batch/records.schema.ts';
import { UnitLog } from '../../../src/batch/unit-log.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { type ModelWorker, type Outcome, ReferenceModel } from '../../support/reference-model.ts';
import { groupedLine, ManualClock, resultOf, tenant, World } from './batch-world.ts';

/**
 * Random lives of one batch: two janitors of which one has a clock that jumps, workers that are fenced, crash and come
 * back as zombies, jobs delivered twice, answers of the store that get lost. The real code must do what the model does.
 */
type Step =
  | { readonly type: 'sweep'; readonly janitor: 0 | 1 }
  /** The answer to the janitor's n-th write is lost, and the janitor with it; another one follows. */
  | { readonly type: 'crash-sweep'; readonly write: number; readonly applied: boolean }
  | { readonly type: 'claim'; readonly worker: number; readonly unit: number }
  | {
      readonly type: 'append';
      readonly worker: number;
      readonly place: number;
      readonly outcome: Outcome;
      readonly lost: boolean;
    }
  | { readonly type: 'seal'; readonly worker: number; readonly lost: boolean }
  | { readonly type: 'crash'; readonly worker: number }
  | { readonly type: 'cancel' }
  | { readonly type: 'pass'; readonly ms: number }
  | { readonly type: 'jump'; readonly ms: number };

const workerTotal = 3;
const windowMs = 3_600_000;
const anyWorker = fc.nat({ max: workerTotal - 1 });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('sweep' as const), janitor: fc.constantFrom(0 as const, 1 as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('crash-sweep' as const),
      write: fc.integer({ min: 1, max: 8 }),
      applied: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('claim' as const), worker: anyWorker, unit: fc.nat({ max: 1 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      worker: anyWorker,
      place: fc.nat({ max: 1 }),
      outcome: fc.constantFrom('completed' as const, 'failed' as const),
      lost: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('seal' as const), worker: anyWorker, lost: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const), worker: anyWorker }) },
  { weight: 1, arbitrary: fc.constant({ type: 'cancel' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: windowMs }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('jump' as const),
      ms: fc.integer({ min: -40 * windowMs, max: 40 * windowMs }),
    }),
  },
);

interface Worker {
  readonly log: UnitLog<LineResult>;
  readonly claim: ModelWorker;
}

const inputLines = ['x', 'y', 'x', 'y'].map((group, index) => groupedLine(`c${index}`, group));
const unitLines = [
  [0, 2],
  [1, 3],
];

class Run {
  readonly world = new World();
  readonly store = new CountingObjectStore(new MemoryObjectStore(() => this.world.clock.nowMs()));
  readonly jumpy = new ManualClock();
  readonly workers = new Map<number, Worker>();
  model = new ReferenceModel(unitLines, 0);
  id = '';
  janitors: readonly Janitor[] = [];
  #crashes = 0;

  async begin(): Promise<void> {
    const record = await this.world.createBatch(inputLines, { completionWindow: '1h' });
    this.id = record.id;
    this.model = new ReferenceModel(unitLines, record.expires_at * 1000);
    // from here on through the store that loses answers
    await this.#copyStore();
    this.janitors = [this.#newJanitor(this.world.clock), this.#newJanitor(this.jumpy)];
  }

  async #copyStore(): Promise<void> {
    for (const { key } of (await this.world.store.list('')).objects) {
      const object = await this.world.store.get(key);
      if (object !== undefined) await this.store.put(key, object.body);
    }
  }

  #newJanitor(clock: ManualClock): Janitor {
    // suspicion has tests of its own: here owners die at random, which is what it cannot tell from a bad line
    return this.world.newJanitor({ store: this.store, batches: this.batches, clock, lineDeaths: 1_000 });
  }

  get batches(): BatchStore {
    return new BatchStore({ store: this.store, clock: this.world.clock });
  }

  async take(step: Step): Promise<void> {
    const { model, world } = this;
    switch (step.type) {
      case 'sweep':
        await this.janitors[step.janitor]?.sweep();
        model.sweep(world.clock.nowMs());
        return;
      case 'crash-sweep':
        await this.#crashSweep(step.write, step.applied ? 'after' : 'before');
        model.sweep(world.clock.nowMs());
        return;
      case 'claim':
        return this.#claim(step.worker, step.unit);
      case 'append':
        return this.#write(step.worker, step.lost, ({ log, claim }) => {
          const line = unitLines[claim.unit]?.[step.place] ?? 0;
          const write = log.append([resultOf(line, `c${line}`, step.outcome)]);
          return [write, model.append(claim, line, step.outcome)];
        });
      case 'seal':
        return this.#write(step.worker, step.lost, ({ log, claim }) => {
          const isFinished = model.units[claim.unit]?.lines.every((line) => model.results.has(line)) ?? false;
          // a worker seals when its lines are finished; a fenced one may believe so
          if (!isFinished) return null;
          return [log.seal('done'), model.sealDone(claim)];
        });
      case 'crash':
        this.workers.delete(step.worker);
        return;
      case 'cancel': {
        const taken = await this.batches.cancelBatch(tenant, this.id).then(
          () => true,
          () => false,
        );
        expect(taken).toBe(model.cancel());
        return;
      }
      case 'pass':
        for (const clock of [world.clock, this.jumpy]) clock.advance(step.ms);
        return;
      case 'jump':
        this.jumpy.advance(step.ms);
        return;
    }
  }

  async #crashSweep(write: number, fault: 'before' | 'after'): Promise<void> {
    let writes = 0;
    this.store.plan = ({ operation }) => {
      // lost answers of slots are the workers' part: the janitor's own tries of them wait by the real clock
      if (operation !== 'put' && operation !== 'putStream' && operation !== 'swap' && operation !== 'delete')
        return 'none';
      writes += 1;
      return writes >= write ? fault : 'none';
    };
    await this.#newJanitor(this.world.clock)
      .sweep()
      .catch(() => {});
    this.store.plan = () => 'none';
    await this.#newJanitor(this.world.clock).sweep();
  }

  async #claim(index: number, unit: number): Promise<void> {
    // nobody is told of units before they are planned
    if (!this.model.isPlanned || (await this.store.head(keys.plan(tenant, this.id))) === undefined) return;
    const log = new UnitLog(this.store, tenant, this.id, `u00000${unit}`, {
      keep: (result: LineResult) => result,
      clock: this.world.clock,
    });
    const claim = this.model.claim(unit);
    this.#crashes += 1;
    expect(await log.claim(`w${this.#crashes}`)).toBe(claim === null ? 'sealed' : claim.epoch);
    if (claim === null) this.workers.delete(index);
    else this.workers.set(index, { log, claim });
  }

  async #write(
    index: number,
    isLost: boolean,
    run: (worker: Worker) => readonly [Promise<unknown>, boolean] | null,
  ): Promise<void> {
    const held = this.workers.get(index);
    if (held === undefined) return;
    let left = isLost ? 1 : 0;
    this.store.plan = ({ operation }) => {
      if (operation !== 'create' || left === 0) return 'none';
      left -= 1;
      return 'after';
    };
    const written = run(held);
    if (written !== null) {
      const [write, isTaken] = written;
      const error = await write.then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error === null).toBe(isTaken);
      if (error !== null) expect(isAppError(error) && error.code).toBe('ownership.lost');
      if (error !== null) this.workers.delete(index);
    }
    this.store.plan = () => 'none';
  }

  /** Whatever happened: an end by the end of the window, the one the model says, and nothing lost or doubled. */
  async end(): Promise<void> {
    const { model, world } = this;
    await this.take({ type: 'pass', ms: windowMs });
    await this.take({ type: 'sweep', janitor: 0 });
    const record = await this.batches.getBatch(tenant, this.id);
    expect(record.status).toBe(model.status);
    expect(model.isTerminal).toBe(true);
    const read = async (key: string): Promise<OutputLine[]> =>
      Buffer.from((await this.store.get(key))?.body ?? '')
        .toString('utf8')
        .split('\n')
        .filter((text) => text !== '')
        .map((text) => JSON.parse(text) as OutputLine);
    const output = await read(keys.output(tenant, this.id));
    const errors = await read(keys.errors(tenant, this.id));
    const seen = [
      ...output.map((line) => [line.custom_id, 'completed']),
      ...errors.map((line) => [line.custom_id, line.error?.code ?? 'failed']),
    ].sort();
    expect(seen).toEqual([...model.verdicts()].map(([line, verdict]) => [`c${line}`, verdict]).sort());
    expect(record.request_counts).toEqual({ total: 4, completed: output.length, failed: errors.length });
    const etag = (await this.store.head(keys.batch(tenant, this.id)))?.etag;
    world.clock.advance(windowMs);
    for (const janitor of this.janitors) await janitor.sweep();
    expect((await this.store.head(keys.batch(tenant, this.id)))?.etag).toBe(etag);
  }
}

async function live(steps: readonly Step[]): Promise<void> {
  const run = new Run();
  await run.begin();
  for (const step of steps) await run.take(step);
  await run.end();
}

describe('batches, units and owners', () => {
  it('do what the reference model does, whatever crashes, comes late, comes twice or gets lost', async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), live), { numRuns: 60 });
  }, 60_000);
});
