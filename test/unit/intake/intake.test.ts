import { describe, expect, it } from 'vitest';
import { dropOf } from '../../../src/intake/drop.ts';
import { keys } from '../../../src/storage/index.ts';
import { tenant } from '../batch/batch-world.ts';
import { batchIdOf, IntakeWorld } from './intake-world.ts';

const key = 'inbox/leases/lease-7.md';
const template = {
  version: 1,
  questions: [
    { id: 'notice', question: 'What is the notice period?', schema: { type: 'string' } },
    { id: 'rent', question: 'What is the rent?' },
  ],
  max_completion_tokens: 32,
};

describe('a dropped document', () => {
  it('becomes a batch of its folder’s questions, with receipt, status, results and manifest', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.dropTemplate('inbox/leases/', template);
    const etag = await world.drop(key, 'The notice period is 60 days.');
    await world.finish(intake);
    const { receipt, status, results, manifest } = await world.outboxOf(key);
    const batchId = batchIdOf(key, etag);
    expect(receipt).toEqual({
      version: 1,
      key,
      etag,
      size: 29,
      state: 'accepted',
      reason: null,
      batch_id: batchId,
      custom_ids: ['notice', 'rent'],
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(status).toMatchObject({
      version: 1,
      batch_id: batchId,
      status: 'completed',
      request_counts: { total: 2, completed: 2, failed: 0 },
      current: null,
      wait_reason: null,
    });
    expect(results?.map((line) => line.custom_id)).toEqual(['notice', 'rent']);
    expect(manifest).toMatchObject({
      key,
      etag,
      batch_id: batchId,
      status: 'completed',
      totals: { lines: 2, completed: 2, failed: 0 },
    });
    expect(manifest?.lines.map(({ line, custom_id: id }) => [line, id])).toEqual([
      [1, 'notice'],
      [2, 'rent'],
    ]);
    expect(await world.openMarkers()).toBe(0);
    expect(await world.store.head(keys.dropClaim(tenant, dropOf(key, etag).id))).toBeDefined();
  });

  it('is asked for a summary when its folder has no template', async () => {
    const world = new IntakeWorld();
    await world.drop('inbox/memo.txt', 'Hello');
    await world.finish(world.startIntake());
    const { receipt } = await world.outboxOf('inbox/memo.txt');
    expect(receipt?.custom_ids).toEqual(['summary']);
    const batch = await world.get(receipt?.batch_id ?? '');
    const input = await world.readText(keys.fileContent(tenant, batch.input_file_id));
    expect(JSON.parse(input ?? '')).toMatchObject({
      url: '/v1/analyses',
      body: {
        model: 'quire-nano',
        question: 'Summarize the document in five sentences, citing pages.',
        answer: 'json',
      },
    });
  });

  it('is read from a copy made at admission', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'first bytes');
    await world.pass(intake, 6);
    const [batch] = await world.batchesOf();
    await world.store.delete([key]);
    const line = JSON.parse((await world.readText(keys.fileContent(tenant, batch?.input_file_id ?? ''))) ?? '');
    const fileId = line.body.documents[0].file_id as string;
    const file = await world.batches.getFile(tenant, fileId);
    expect(file).toMatchObject({ purpose: 'user_data', filename: 'lease-7.md', bytes: 11 });
    expect(await world.readText(file.content_key)).toBe('first bytes');
    await world.finish(intake);
    expect((await world.outboxOf(key)).manifest?.totals.completed).toBe(1);
  });

  it('is not run again by later looks, a new process, or the same bytes written again', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'same');
    await world.finish(intake);
    await world.pass(intake, 10);
    await world.drop(key, 'same');
    await world.finish(intake);
    await world.finish(world.startIntake());
    await world.store.delete([key]);
    await world.pass(intake, 2);
    await world.drop(key, 'same');
    await world.finish(intake);
    expect(await world.batchesOf()).toHaveLength(1);
    expect(world.ranBatches).toHaveLength(1);
  });

  it('costs a look at an unchanged inbox no reads but the listing', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const intake = world.startIntake(store);
    for (const name of ['a', 'b', 'c']) await world.drop(`inbox/x/${name}.md`, name);
    await world.drop('inbox/x/d.pdf', 'PDF');
    await world.finish(intake);
    await world.pass(intake, 1);
    const reads: string[] = [];
    store.beforeRead = (read) => void reads.push(read);
    await intake.scan();
    await intake.tend();
    expect(reads).toEqual(['inbox/']);
  });

  it('runs once when two intakes work side by side', async () => {
    const world = new IntakeWorld();
    const [one, two] = [world.startIntake(), world.startIntake()];
    for (let index = 0; index < 5; index++) await world.drop(`inbox/x/${index}.md`, `text ${index}`);
    for (let round = 0; round < 12; round++) {
      await Promise.all([one.scan(), two.scan(), one.tend(), two.tend()]);
      await Promise.all([one.tend(), two.tend()]);
      if (round > 6) await world.runBatches();
      world.clock.advance(1_000);
    }
    expect(await world.batchesOf()).toHaveLength(5);
    await Promise.all([world.finish(one), world.finish(two)]);
    for (let index = 0; index < 5; index++) {
      const outbox = await world.outboxOf(`inbox/x/${index}.md`);
      expect(outbox.receipt?.state).toBe('accepted');
      expect(outbox.results).toHaveLength(1);
    }
    expect(await world.openMarkers()).toBe(0);
  });
});

describe('when a document is taken up', () => {
  it('is after it stayed as it is for five seconds', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.pass(intake, 4);
    expect(await world.batchesOf()).toHaveLength(0);
    await world.pass(intake, 2);
    expect(await world.batchesOf()).toHaveLength(1);
  });

  it('is never while it is empty', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, '');
    await world.pass(intake, 20);
    expect(await world.outboxOf(key)).toEqual({});
    await world.drop(key, 'now with bytes');
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt?.state).toBe('accepted');
  });

  it('waits for one that still grows, and takes its last bytes', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    for (let length = 1; length < 6; length++) {
      await world.drop(key, 'x'.repeat(length));
      await world.pass(intake, 3);
    }
    expect(await world.batchesOf()).toHaveLength(0);
    await world.finish(intake);
    expect(await world.batchesOf()).toHaveLength(1);
    expect((await world.outboxOf(key)).receipt?.size).toBe(5);
  });

  it('sees a template that was copied after the document', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.pass(intake, 3);
    await world.dropTemplate('inbox/leases/', template);
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt?.custom_ids).toEqual(['notice', 'rent']);
  });

  it('is at once with its ready marker, whichever comes first', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.drop(`${key}.ready`, '');
    await world.drop('inbox/leases/early.md.ready', '');
    await world.pass(intake, 0);
    expect(await world.batchesOf()).toHaveLength(1);
    world.clock.advance(60_000);
    await world.drop('inbox/leases/early.md', 'text');
    await world.pass(intake, 0);
    expect(await world.batchesOf()).toHaveLength(2);
    expect((await world.outboxOf(`${key}.ready`)).receipt).toBeUndefined();
  });

  it('is only with a marker where the template says so, and a new one for new bytes', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.dropTemplate('inbox/leases/', { ...template, wait_for_ready: true });
    await world.drop(key, 'text');
    await world.pass(intake, 30);
    expect(await world.batchesOf()).toHaveLength(0);
    await world.drop(`${key}.ready`, '');
    await world.pass(intake, 1);
    expect(await world.batchesOf()).toHaveLength(1);
    await world.drop(key, 'other text');
    await world.pass(intake, 30);
    expect(await world.batchesOf()).toHaveLength(1);
    await world.drop(`${key}.ready`, '');
    await world.pass(intake, 1);
    expect(await world.batchesOf()).toHaveLength(2);
  });

  it('does not depend on the store’s clock being ours', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    world.clock.advance(3_600_000);
    await world.drop(key, 'from the future');
    world.clock.advance(-3_600_000);
    await world.pass(intake, 7);
    expect(await world.batchesOf()).toHaveLength(1);
  });
});

describe('notifications', () => {
  it('lead to a look before the next listing', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    intake.hint([key]);
    await intake.lookAtDueFolders();
    world.clock.advance(5_000);
    await intake.lookAtDueFolders();
    await intake.tend();
    expect(await world.batchesOf()).toHaveLength(1);
  });

  it('may be doubled, early, late, reordered, of objects that are gone, and of keys that are none', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    const look = async (): Promise<void> => {
      await intake.lookAtDueFolders();
      await intake.tend();
      world.clock.advance(1_000);
    };
    intake.hint([key, key, 'inbox/gone/never.md', 'v1/default/x', 'inbox/', '']);
    await look();
    await world.drop(key, 'text');
    intake.hint([key]);
    for (let index = 0; index < 8; index++) await look();
    intake.hint([key, `${key}.ready`, key]);
    for (let index = 0; index < 8; index++) await look();
    await world.finish(intake);
    expect(world.ranBatches).toEqual([(await world.outboxOf(key)).receipt?.batch_id]);
  });
});

describe('an object that changes', () => {
  it('runs again, and everything written about it speaks of the newer version', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'first');
    await world.finish(intake);
    const second = await world.drop(key, 'second');
    await world.finish(intake);
    const outbox = await world.outboxOf(key);
    expect(await world.batchesOf()).toHaveLength(2);
    expect(outbox.receipt).toMatchObject({ etag: second, batch_id: batchIdOf(key, second) });
    expect(outbox.status?.batch_id).toBe(batchIdOf(key, second));
    expect(outbox.manifest?.etag).toBe(second);
  });

  it('keeps the newer version’s results when the older batch ends later', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    const first = await world.drop(key, 'first');
    await world.pass(intake, 6);
    const second = await world.drop(key, 'second');
    await world.pass(intake, 6);
    await world.janitor.sweep();
    await world.runUnits(batchIdOf(key, second));
    await world.janitor.sweep();
    await world.pass(intake, 3);
    expect((await world.outboxOf(key)).manifest?.batch_id).toBe(batchIdOf(key, second));
    await world.runUnits(batchIdOf(key, first));
    await world.finish(intake);
    const outbox = await world.outboxOf(key);
    expect(outbox.manifest?.batch_id).toBe(batchIdOf(key, second));
    expect(outbox.status?.batch_id).toBe(batchIdOf(key, second));
    expect(outbox.receipt?.batch_id).toBe(batchIdOf(key, second));
    expect((await world.get(batchIdOf(key, first))).status).toBe('completed');
  });

  it('does not let a process that slept write about the older version', async () => {
    const world = new IntakeWorld();
    const slow = world.watchStore();
    const sleeper = world.startIntake(slow);
    await world.drop(key, 'first');
    await world.pass(sleeper, 6);
    await world.runBatches();
    // the sleeper stops between its look at the record and its write of the results
    let wakeUp = (): void => {};
    const asleep = new Promise<void>((fallAsleep) => {
      slow.beforeWrite = ({ key: written }) => {
        if (!written.startsWith('outbox/')) return;
        slow.beforeWrite = () => {};
        fallAsleep();
        return new Promise<void>((resolve) => {
          wakeUp = resolve;
        });
      };
    });
    world.clock.advance(2_000);
    const sleeping = sleeper.tend();
    await asleep;
    const second = await world.drop(key, 'second');
    await world.finish(world.startIntake());
    const before = await world.outboxOf(key);
    wakeUp();
    await sleeping;
    await world.pass(sleeper, 3);
    expect(await world.outboxOf(key)).toEqual(before);
    expect(before.manifest?.etag).toBe(second);
  });

  it('is not taken back to an older version by a process that slept before it said so', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    for (const text of ['first', 'second']) {
      await world.drop(key, text);
      await world.finish(intake);
    }
    await world.drop(key, 'first');
    const slow = world.watchStore();
    let second = '';
    // the template is read after the look at the object
    slow.beforeRead = async (read) => {
      if (second !== '' || read !== 'inbox/leases/analysis.json') return;
      second = await world.drop(key, 'second');
      await world.finish(world.startIntake());
    };
    slow.beforeWrite = ({ key: written }) => {
      if (written.startsWith('outbox/')) slow.killAtWrite(0.5);
    };
    await expect(world.pass(world.startIntake(slow), 7)).rejects.toThrow('killed');
    expect(slow.isKilled).toBe(true);
    world.clock.advance(60_000);
    await intake.adopt();
    await world.finish(intake);
    await world.finish(intake);
    const outbox = await world.outboxOf(key);
    expect(outbox.receipt?.etag).toBe(second);
    expect(outbox.manifest?.etag).toBe(second);
    expect(await world.batchesOf()).toHaveLength(2);
  });

  it('is published again, not run again, when it becomes what it was', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    const first = await world.drop(key, 'first');
    await world.finish(intake);
    await world.drop(key, 'second');
    await world.finish(intake);
    await world.drop(key, 'first');
    await world.finish(intake);
    const outbox = await world.outboxOf(key);
    expect(await world.batchesOf()).toHaveLength(2);
    expect(outbox.receipt?.etag).toBe(first);
    expect(outbox.manifest?.batch_id).toBe(batchIdOf(key, first));
    expect(outbox.results).toHaveLength(1);
  });

  it('before it settled, runs in its last version only', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'first');
    await world.pass(intake, 3);
    const second = await world.drop(key, 'second');
    await world.finish(intake);
    expect((await world.batchesOf()).map(({ id }) => id)).toEqual([batchIdOf(key, second)]);
  });

  it('between claim and copy, runs in its newer version only', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const intake = world.startIntake(store);
    await world.drop(key, 'first');
    let second = '';
    store.beforeWrite = async ({ key: written }) => {
      if (second === '' && written.includes('/drops/claims/')) second = await world.drop(key, 'second');
    };
    await world.finish(intake);
    expect((await world.batchesOf()).map(({ id }) => id)).toEqual([batchIdOf(key, second)]);
    expect((await world.outboxOf(key)).receipt?.etag).toBe(second);
  });

  it('leaves no trace when it is deleted before it was copied, and runs when it comes back', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const intake = world.startIntake(store);
    await world.drop(key, 'first');
    await world.pass(intake, 3);
    await world.store.delete([key]);
    await world.pass(intake, 10);
    await world.drop(key, 'first');
    let isDeleted = false;
    store.beforeWrite = async ({ key: written }) => {
      if (isDeleted || !written.includes('/drops/claims/')) return;
      isDeleted = true;
      await world.store.delete([key]);
    };
    await world.pass(intake, 10);
    expect(isDeleted).toBe(true);
    expect(await world.outboxOf(key)).toEqual({});
    expect(await world.openMarkers()).toBe(0);
    const etag = await world.drop(key, 'first');
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt?.batch_id).toBe(batchIdOf(key, etag));
  });

  it('is not lost when it comes back just as it is given up, and another process believed it taken', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const [first, other] = [world.startIntake(store), world.startIntake()];
    await world.drop(key, 'text');
    await world.pass(first, 4);
    let step = 'claim';
    store.beforeWrite = async ({ operation, key: written }) => {
      if (step === 'claim' && written.includes('/drops/claims/')) {
        step = 'withdraw';
        await world.store.delete([key]);
      } else if (step === 'withdraw' && operation === 'swap' && written.includes('/drops/keys/')) {
        step = 'done';
        await world.drop(key, 'text');
        await other.scan();
      }
    };
    await world.pass(first, 2);
    expect(step).toBe('done');
    world.clock.advance(60_000);
    await other.adopt();
    await world.finish(other);
    expect((await world.outboxOf(key)).manifest?.totals.completed).toBe(1);
  });

  it('is published again when it becomes what it was, though its folder excludes it by now', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    const first = await world.drop(key, 'first');
    await world.finish(intake);
    await world.drop(key, 'second');
    await world.finish(intake);
    await world.dropTemplate('inbox/leases/', { include: ['*.txt'] });
    await world.drop(key, 'first');
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt).toMatchObject({ state: 'accepted', etag: first });
    expect((await world.outboxOf(key)).manifest?.etag).toBe(first);
  });

  it('runs under its new name when it is renamed', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.finish(intake);
    await world.store.delete([key]);
    await world.drop('inbox/leases/renamed.md', 'text');
    await world.finish(intake);
    expect((await world.outboxOf('inbox/leases/renamed.md')).manifest?.totals.lines).toBe(1);
    expect((await world.outboxOf(key)).manifest?.totals.lines).toBe(1);
    expect(await world.batchesOf()).toHaveLength(2);
  });
});
