import { beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import { rebuildQueue } from '../../../src/batch/index.ts';
import { tombstoneMs } from '../../../src/batch/tombstones.ts';
import { keys, prefixes } from '../../../src/storage/index.ts';
import { chatLine, groupedLine, resultOf, tenant, World } from './batch-world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

const listKeys = async (prefix = ''): Promise<string[]> =>
  (await world.store.list(prefix)).objects.map(({ key }) => key);

async function endedBatch(more: Parameters<World['createBatch']>[1] = {}): Promise<string> {
  const { id } = await world.createBatch([chatLine('a'), chatLine('b')], more);
  await world.janitor.handle(tenant, id);
  await world.runUnit(id, 'u000000', [resultOf(0, 'a'), resultOf(1, 'b', 'failed')]);
  await world.janitor.handle(tenant, id);
  return id;
}

describe('deleteBatch', () => {
  it('leaves the tombstone and what is not of the batch, and after a day nothing of it at all', async () => {
    const id = await endedBatch();
    const { output_file_id: outputId, error_file_id: errorId, input_file_id: inputId } = await world.get(id);
    await world.batches.deleteBatch(tenant, id);
    await expect(world.get(id)).rejects.toMatchObject({ code: 'input.not-found' });
    for (const fileId of [outputId, errorId]) {
      await expect(world.batches.getFile(tenant, fileId ?? '')).rejects.toMatchObject({ code: 'input.not-found' });
    }
    await world.janitor.sweep();
    const left = (await listKeys()).filter((key) => !key.includes(inputId));
    // a create that is repeated within minutes finds its reservation; it names the batch and no content
    expect(left.filter((key) => !key.startsWith('v1/index/creates/'))).toEqual([keys.deleted(id), keys.storeTime]);
    await world.batches.openFileContent(tenant, inputId);
    await world.batches.deleteFile(tenant, inputId);
    world.clock.advance(tombstoneMs);
    await world.janitor.sweep();
    expect((await listKeys()).filter((key) => !key.startsWith('v1/index/creates/'))).toEqual([keys.storeTime]);
  });

  it('takes the input of a single call along', async () => {
    const id = await endedBatch({ priority: 'interactive' });
    await world.batches.deleteBatch(tenant, id);
    await world.janitor.sweep();
    const uploads = (key: string): boolean => key.startsWith(prefixes.expiring);
    expect((await listKeys()).filter((key) => !uploads(key))).toEqual([keys.deleted(id), keys.storeTime]);
  });

  it('rejects a batch that is not final, naming its state', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    await expect(world.batches.deleteBatch(tenant, id)).rejects.toMatchObject({
      code: 'input.state',
      details: { status: 'validating' },
    });
    expect((await world.get(id)).status).toBe('validating');
    await expect(world.batches.deleteBatch(tenant, 'batch_x')).rejects.toMatchObject({ code: 'input.not-found' });
  });

  it('is not undone by a create that is repeated', async () => {
    const file = await world.createBatch([chatLine('a')]);
    const again = { inputFileId: file.input_file_id, idempotencyKey: 'k' };
    const { id } = await world.createBatch([], again);
    await world.batches.cancelBatch(tenant, id);
    await world.janitor.handle(tenant, id);
    await world.batches.deleteBatch(tenant, id);
    await expect(world.createBatch([], again)).rejects.toMatchObject({ code: 'input.state' });
    await world.janitor.sweep();
    await expect(world.createBatch([], again)).rejects.toMatchObject({ code: 'input.state' });
  });

  it('removes what a process that was frozen writes afterwards', async () => {
    const id = await endedBatch();
    await world.batches.deleteBatch(tenant, id);
    await world.janitor.sweep();
    await world.store.put(`${keys.unitBlobs(tenant, id, 'u000000')}late`, Buffer.from('x'));
    world.clock.advance(15 * 60_000);
    await world.janitor.sweep();
    expect(await listKeys(keys.batchRoot(tenant, id))).toEqual([]);
  });
});

describe('rebuildQueue', () => {
  const rebuild = () => {
    const { store, batches, queue } = world;
    return rebuildQueue({ store, batches, queue, log: silentLogger }, tenant);
  };

  it('fills an emptied queue with every unit that is not ended, and does nothing twice', async () => {
    const { id } = await world.createBatch([groupedLine('a', 'x'), groupedLine('b', 'y'), groupedLine('c', 'z')]);
    await world.janitor.handle(tenant, id);
    await world.runUnit(id, 'u000001', [resultOf(1, 'b')]);
    await world.runPart(id, 'u000002', []);
    await world.createBatch([chatLine('not planned')]);
    await endedBatch();
    world.queue.units.splice(0);
    world.queue.controls.splice(0);
    expect(await rebuild()).toEqual({ batches: 2, repaired: 0, jobs: 2, failed: 0 });
    expect(world.queue.units.map(({ job, epoch }) => `${job.unitId}.${epoch}`).sort()).toEqual([
      'u000000.0',
      'u000002.1',
    ]);
    expect(world.queue.controls).toHaveLength(2);
    expect(await rebuild()).toMatchObject({ jobs: 1 });
    expect(world.queue.units).toHaveLength(2);
  });

  it('puts markers back that are missing', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    await world.store.delete([keys.open(id)]);
    expect(await rebuild()).toMatchObject({ batches: 1, repaired: 1 });
    await world.janitor.sweep();
    expect((await world.get(id)).status).toBe('in_progress');
  });

  it('goes on behind a batch that is damaged', async () => {
    const bad = await world.createBatch([chatLine('a')]);
    const good = await world.createBatch([chatLine('b')]);
    await world.janitor.handle(tenant, good.id);
    world.queue.units.splice(0);
    await world.store.put(keys.plan(tenant, bad.id), Buffer.from('{'));
    await world.batches.updateBatch(tenant, bad.id, (record) => ({ ...record, status: 'in_progress' }));
    expect(await rebuild()).toMatchObject({ jobs: 1, failed: 1 });
  });

  it('says at once when Redis is away', async () => {
    world.queue.away = true;
    await expect(rebuild()).rejects.toMatchObject({ code: 'transient.queue-unreachable' });
  });
});
