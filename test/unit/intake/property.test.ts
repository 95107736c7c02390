import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Intake } from '../../../src/intake/index.ts';
import { keys } from '../../../src/storage/index.ts';
import { tenant } from '../batch/batch-world.ts';
import { batchIdOf, IntakeWorld } from './intake-world.ts';
import type { WatchedStore } from './watched-store.ts';

const names = ['inbox/a/x.md', 'inbox/a/y.txt', 'inbox/b/z.md', 'inbox/w.csv'] as const;

type Command =
  | { readonly type: 'put'; readonly name: number; readonly content: number }
  | { readonly type: 'delete' | 'mark' | 'hint'; readonly name: number }
  | { readonly type: 'template'; readonly isValid: boolean }
  | { readonly type: 'pass'; readonly ms: number; readonly scans: boolean }
  | { readonly type: 'run' }
  /** The process dies at its n-th write from here, half of the time when the store has it; another one starts. */
  | { readonly type: 'kill'; readonly write: number; readonly scans: boolean }
  /** The user writes or deletes between two reads or writes of an intake. */
  | { readonly type: 'interfere'; readonly after: number; readonly name: number; readonly content: number | null }
  /** Another intake beside it, slower by so many turns a call. */
  | { readonly type: 'second'; readonly delays: readonly number[] };

const name = fc.integer({ min: 0, max: names.length - 1 });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('put'), name, content: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('delete'), name }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('mark'), name }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('hint'), name }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('template'), isValid: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('pass'), ms: fc.integer({ min: 100, max: 7_000 }), scans: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('run') }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('kill'),
      write: fc.integer({ min: 1, max: 40 }).map((half) => half / 2),
      scans: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('interfere'),
      after: fc.integer({ min: 1, max: 60 }),
      name,
      content: fc.option(fc.integer({ min: 0, max: 3 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('second'),
      delays: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }),
    }),
  },
) as fc.Arbitrary<Command>;

/** Content 0 is empty, 3 is no text. */
const contents = [Buffer.from(''), Buffer.from('one'), Buffer.from('two'), Buffer.from([0xff, 0xfe])];

class Chaos {
  readonly world = new IntakeWorld();
  #interferences: { left: number; readonly run: () => Promise<unknown> }[] = [];
  #store: WatchedStore = this.#openStore([0]);
  #intakes: Intake[] = [this.world.startIntake(this.#store)];

  async apply(step: Command): Promise<void> {
    const { world } = this;
    switch (step.type) {
      case 'put':
        await world.store.put(names[step.name] ?? '', contents[step.content] ?? Buffer.from(''));
        return;
      case 'delete':
        return world.store.delete([names[step.name] ?? '']);
      case 'mark':
        await world.store.put(`${names[step.name]}.ready`, Buffer.from(''));
        return;
      case 'hint':
        for (const intake of this.#intakes) intake.hint([names[step.name] ?? '']);
        return;
      case 'template':
        await world.store.put('inbox/a/analysis.json', Buffer.from(step.isValid ? '{}' : '{'));
        return;
      case 'pass':
        return this.#pass(step.ms, step.scans);
      case 'run':
        return world.runBatches();
      case 'kill':
        this.#store.killAtWrite(step.write);
        await this.#pass(6_000, step.scans);
        this.#store.killAtWrite(0.5);
        return this.#restart();
      case 'interfere': {
        const key = names[step.name] ?? '';
        const content = step.content === null ? undefined : contents[step.content];
        const run = (): Promise<unknown> =>
          content === undefined ? world.store.delete([key]) : world.store.put(key, content);
        this.#interferences.push({ left: step.after, run });
        return;
      }
      case 'second':
        this.#intakes.push(world.startIntake(this.#openStore(step.delays)));
        return;
    }
  }

  async finish(): Promise<Intake> {
    this.#interferences = [];
    const [last = this.world.startIntake()] = this.#intakes;
    for (let round = 0; round < 3; round++) {
      await last.adopt();
      await this.world.finish(last);
    }
    return last;
  }

  async #restart(): Promise<void> {
    this.#store = this.#openStore([0]);
    const intake = this.world.startIntake(this.#store);
    this.#intakes = [intake];
    await intake.adopt();
  }

  #openStore(delays: readonly number[]): WatchedStore {
    const store = this.world.watchStore();
    let calls = 0;
    const onCall = async (): Promise<void> => {
      for (let turns = delays[calls++ % delays.length] ?? 0; turns > 0; turns--) await Promise.resolve();
      for (const one of this.#interferences) one.left -= 1;
      const due = this.#interferences.filter(({ left }) => left <= 0);
      this.#interferences = this.#interferences.filter(({ left }) => left > 0);
      for (const { run } of due) await run();
    };
    store.beforeRead = onCall;
    store.beforeWrite = onCall;
    return store;
  }

  /** All intakes at once, so that their reads and writes mix. */
  async #pass(ms: number, scans: boolean): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      await Promise.all(
        this.#intakes.map(async (intake) => {
          if (scans) await intake.scan().catch(() => {});
          await intake.lookAtDueFolders().catch(() => {});
          await intake.tend();
        }),
      );
      this.world.clock.advance(Math.min(left, 1_000));
    }
  }
}

async function checkEnd({ world }: Chaos, intake: Intake): Promise<void> {
  expect(intake.openTotal).toBe(0);
  expect(await world.openMarkers()).toBe(0);
  for (const key of names) {
    const object = await world.store.get(key);
    if (object === undefined || object.bytes === 0) continue;
    const { receipt, status, results, manifest } = await world.outboxOf(key);
    expect(receipt).toMatchObject({ key, etag: object.etag, size: object.bytes });
    if (receipt?.state !== 'accepted') {
      expect([status, results, manifest]).toEqual([undefined, undefined, undefined]);
      continue;
    }
    const batchId = batchIdOf(key, object.etag);
    expect(receipt.batch_id).toBe(batchId);
    expect(status).toMatchObject({ batch_id: batchId, status: 'completed' });
    expect(results?.map((line) => line.custom_id)).toEqual(receipt.custom_ids);
    expect(manifest).toMatchObject({ etag: object.etag, batch_id: batchId, totals: { lines: 1, completed: 1 } });
  }
}

/** Whatever ran, ran once, of bytes that are those it was named by. */
async function checkBatches({ world }: Chaos): Promise<void> {
  const batches = await world.batchesOf();
  const versions = batches.map(({ id }) => id);
  expect(new Set(versions).size).toBe(versions.length);
  expect(new Set(world.ranBatches).size).toBe(world.ranBatches.length);
  for (const { id, input_file_id: inputId, metadata } of batches) {
    const input = JSON.parse((await world.readText(keys.fileContent(tenant, inputId))) ?? '');
    const copy = await world.store.get(keys.fileContent(tenant, input.body.documents[0].file_id));
    const etag = createHash('md5')
      .update(copy?.body ?? '')
      .digest('hex');
    expect(batchIdOf(metadata?.['inbox_key'] ?? '', etag)).toBe(id);
  }
}

describe('any drops, hints and crashes', () => {
  it('end with one receipt, one batch and one result for each version that stayed', { timeout: 60_000 }, async () => {
    let killed = 0;
    let ran = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 4, maxLength: 40 }), async (commands) => {
        const chaos = new Chaos();
        for (const step of commands) await chaos.apply(step);
        killed += commands.filter(({ type }) => type === 'kill').length;
        const intake = await chaos.finish();
        await checkEnd(chaos, intake);
        await checkBatches(chaos);
        ran += chaos.world.ranBatches.length;
      }),
      { numRuns: 150 },
    );
    // a run in which nothing happened proves nothing
    expect(killed).toBeGreaterThan(20);
    expect(ran).toBeGreaterThan(30);
  });

  it('repairs a crash at each write of a drop, before it and after it', async () => {
    const plain = new IntakeWorld();
    const watched = plain.watchStore();
    await plain.drop(names[0], 'one');
    await plain.finish(plain.startIntake(watched));
    const writeTotal = watched.writes.length;
    expect(writeTotal).toBeGreaterThan(10);
    for (let write = 0.5; write <= writeTotal; write += 0.5) {
      const chaos = new Chaos();
      await chaos.world.drop(names[0], 'one');
      const dying = chaos.world.watchStore();
      dying.killAtWrite(write);
      const intake = chaos.world.startIntake(dying);
      await chaos.world.finish(intake, 2).catch(() => {});
      expect(dying.isKilled).toBe(true);
      await checkEnd(chaos, await chaos.finish());
      await checkBatches(chaos);
      expect(chaos.world.ranBatches).toHaveLength(1);
    }
  });
});
