import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { sha256Hex } from '../../../src/base/hash.ts';
import { keys } from '../../../src/storage/index.ts';
import { tenant } from '../batch/batch-world.ts';
import { IntakeWorld } from './intake-world.ts';

const key = 'inbox/leases/lease-7.md';

describe('quarantine', () => {
  it.each([
    [Buffer.from([0x41, 0xff, 0x42]), 'the document is not valid UTF-8'],
    [Buffer.from([0x41, 0xc3]), 'the document is not valid UTF-8'],
    [Buffer.from(' \n\t\n'), 'the document has no text'],
  ])('takes a document of bytes nobody can read: %j', async (bytes, reason) => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, bytes);
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt).toMatchObject({ state: 'quarantined', reason, batch_id: null });
    expect(await world.batchesOf()).toHaveLength(0);
    await world.pass(intake, 20);
    await world.pass(world.startIntake(), 20);
    expect(await world.openMarkers()).toBe(0);
    await world.drop(key, 'readable');
    await world.finish(intake);
    expect((await world.outboxOf(key)).receipt?.state).toBe('accepted');
  });

  it('takes a document whose admission failed five times for its own sake, also across processes', async () => {
    const world = new IntakeWorld();
    let tries = 0;
    const start = () => {
      const store = world.watchStore();
      store.beforeWrite = ({ key: written }) => {
        if (!written.endsWith('/content')) return;
        tries += 1;
        throw new AppError('corrupt.checksum', 'bytes do not match their checksum');
      };
      return world.startIntake(store);
    };
    await world.drop(key, 'text');
    await world.pass(start(), 8);
    const [before, next] = [tries, start()];
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(5);
    await next.adopt();
    await world.pass(next, 40);
    expect(tries).toBe(5);
    expect((await world.outboxOf(key)).receipt).toMatchObject({
      state: 'quarantined',
      reason: 'bytes do not match their checksum',
    });
    expect(next.openTotal).toBe(0);
    await world.pass(world.startIntake(), 20);
    expect(await world.batchesOf()).toHaveLength(0);
  });

  it('is never for a store or a queue that is away', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const intake = world.startIntake(store);
    await world.drop(key, 'text');
    await world.pass(intake, 4);
    let failures = 0;
    for (const code of ['transient.store-unreachable', 'input.config'] as const) {
      store.beforeWrite = () => {
        failures += 1;
        throw new AppError(code, 'away');
      };
      for (let second = 0; second < 300; second++) {
        await intake.scan().catch(() => {});
        await intake.tend();
        world.clock.advance(1_000);
      }
    }
    expect(failures).toBeGreaterThan(10);
    world.queue.away = true;
    store.beforeWrite = () => {};
    await world.pass(intake, 35);
    expect((await world.outboxOf(key)).receipt?.state).toBe('accepted');
    world.queue.away = false;
    await world.finish(intake);
    expect((await world.outboxOf(key)).manifest?.totals.completed).toBe(1);
  });

  it('takes a drop whose batch failed as a whole, with the reason', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.pass(intake, 6);
    const [batch] = await world.batchesOf();
    await world.store.delete([keys.fileContent(tenant, batch?.input_file_id ?? '')]);
    await world.finish(intake);
    const { receipt, status, results, manifest } = await world.outboxOf(key);
    expect(receipt).toMatchObject({
      state: 'quarantined',
      reason: expect.stringMatching(/^the batch failed: input file .* does not exist$/),
      batch_id: batch?.id,
    });
    expect(status?.status).toBe('failed');
    expect(results).toBeUndefined();
    expect(manifest).toMatchObject({ status: 'failed', totals: { lines: 0 }, lines: [] });
  });

  it('lets go of a drop not even whose receipt can be written', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    const intake = world.startIntake(store);
    store.beforeWrite = ({ key: written }) => {
      if (written.startsWith('receipts/')) throw new AppError('input.invalid-request', 'the store refuses');
    };
    await world.drop(key, 'text');
    await world.pass(intake, 200);
    expect(intake.openTotal).toBe(0);
    expect(await world.openMarkers()).toBe(0);
  });

  it('leaves alone what stands on damaged records, and the others run', async () => {
    const world = new IntakeWorld();
    await world.store.put(keys.openDrop(tenant, 'damaged'), Buffer.from('{'));
    await world.store.put(keys.dropRecord(tenant, sha256Hex(key)), Buffer.from('{"version":9}'));
    await world.drop(key, 'text');
    await world.drop('inbox/leases/other.md', 'text');
    const intake = world.startIntake();
    await intake.adopt();
    await world.pass(intake, 200);
    expect(intake.openTotal).toBe(1);
    await world.finish(intake);
    expect((await world.outboxOf('inbox/leases/other.md')).manifest?.totals.completed).toBe(1);
    expect((await world.outboxOf(key)).receipt).toBeUndefined();
  });

  it('of one drop does not stop the others', async () => {
    const world = new IntakeWorld();
    const store = world.watchStore();
    store.beforeWrite = ({ key: written }) => {
      if (written.startsWith('receipts/bad/')) throw new Error('broken');
    };
    await world.drop('inbox/bad/x.md', 'text');
    await world.drop('inbox/good/x.md', 'text');
    await world.pass(world.startIntake(store), 10);
    expect((await world.outboxOf('inbox/good/x.md')).receipt?.state).toBe('accepted');
  });
});
