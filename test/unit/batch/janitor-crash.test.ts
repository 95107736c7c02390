import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { isTerminal } from '../../../src/batch/batch-state.ts';
import {
  type CreateOutcome,
  MemoryObjectStore,
  type StreamedPut,
  type SwapOutcome,
} from '../../../src/storage/index.ts';
import { groupedLine, resultOf, tenant, World } from './batch-world.ts';

/**
 * The process dies at the n-th write, before it or just after it, and another one takes over. For every n, until a whole
 * life has fewer writes: nothing may be lost, doubled or left hanging.
 */
class DyingStore extends MemoryObjectStore {
  writesLeft = Number.POSITIVE_INFINITY;
  diesAfter = false;
  isDead = false;

  async #write<Result>(run: () => Promise<Result>): Promise<Result> {
    this.#checkAlive();
    this.writesLeft -= 1;
    if (this.writesLeft > 0) return run();
    this.isDead = true;
    if (this.diesAfter) await run();
    throw death();
  }

  #checkAlive(): void {
    if (this.isDead) throw death();
  }

  override async get(...args: Parameters<MemoryObjectStore['get']>): ReturnType<MemoryObjectStore['get']> {
    this.#checkAlive();
    return super.get(...args);
  }
  override put(...args: Parameters<MemoryObjectStore['put']>): ReturnType<MemoryObjectStore['put']> {
    return this.#write(() => super.put(...args));
  }
  override putStream(...args: Parameters<MemoryObjectStore['putStream']>): Promise<StreamedPut> {
    return this.#write(() => super.putStream(...args));
  }
  override create(...args: Parameters<MemoryObjectStore['create']>): Promise<CreateOutcome> {
    return this.#write(() => super.create(...args));
  }
  override swap(...args: Parameters<MemoryObjectStore['swap']>): Promise<SwapOutcome> {
    return this.#write(() => super.swap(...args));
  }
  override delete(...args: Parameters<MemoryObjectStore['delete']>): Promise<void> {
    return this.#write(() => super.delete(...args));
  }
}

const death = (): AppError => new AppError('bug.invariant', 'the process is dead');

type Story = 'completed' | 'cancelled' | 'expired' | 'failed';

const lines = ['x', 'y', 'x'].map((group, index) => groupedLine(`c${index}`, group));

/** One batch from create to end, with a death at the given write. @returns false when there was no such write */
async function live(story: Story, deathAt: number, diesAfter: boolean): Promise<boolean> {
  const store = new DyingStore(() => world.clock.nowMs());
  const world: World = new World(store);
  const { id } = await world.createBatch(story === 'failed' ? [...lines, 'nonsense'] : lines);
  store.writesLeft = deathAt;
  store.diesAfter = diesAfter;
  let hasDied = false;
  let worker: Promise<void> | null = null;
  for (let turn = 0; turn < 12; turn++) {
    await world
      .newJanitor()
      .handle(tenant, id)
      .catch(() => {});
    if (store.isDead) {
      hasDied = true;
      store.isDead = false;
      store.writesLeft = Number.POSITIVE_INFINITY;
      continue;
    }
    const { status } = await world.get(id);
    if (isTerminal(status)) break;
    if (status !== 'in_progress' || worker !== null) continue;
    const before = store.writesLeft;
    store.writesLeft = Number.POSITIVE_INFINITY;
    const done = [resultOf(0, 'c0'), resultOf(2, 'c2', 'failed')];
    worker = world.runUnit(id, 'u000000', done);
    await worker;
    if (story === 'completed') await world.runUnit(id, 'u000001', [resultOf(1, 'c1')]);
    if (story === 'cancelled') await world.batches.cancelBatch(tenant, id);
    if (story === 'expired') world.clock.advance(86_400_000);
    store.writesLeft = before;
  }
  store.writesLeft = Number.POSITIVE_INFINITY;
  await check(world, id, story);
  return hasDied;
}

async function check(world: World, id: string, story: Story): Promise<void> {
  const record = await world.get(id);
  expect(record.status).toBe(story);
  const { total, completed, failed } = record.request_counts;
  const { output, errors } = await world.readResults(id);
  const ids = [...output, ...errors].map(({ custom_id }) => custom_id).sort();
  expect(ids).toEqual(story === 'failed' ? [] : ['c0', 'c1', 'c2']);
  expect([completed, failed, total]).toEqual([output.length, errors.length, ids.length]);
  expect(output.map(({ custom_id }) => custom_id)).toEqual(
    { completed: ['c0', 'c1'], failed: [] }[story as string] ?? ['c0'],
  );
  for (const fileId of [record.output_file_id, record.error_file_id]) {
    if (fileId !== null) await world.batches.openFileContent(tenant, fileId);
  }
  // the marker of an ended batch goes with the next sweep at the latest
  await world.newJanitor().sweep();
  for await (const page of world.batches.listOpen()) expect(page).toEqual([]);
}

describe('Janitor that dies', () => {
  it.each(['completed', 'cancelled', 'expired', 'failed'] as const)(
    'brings a batch to %s all the same',
    async (story) => {
      for (const diesAfter of [false, true]) {
        let deathAt = 1;
        while (await live(story, deathAt, diesAfter)) deathAt += 1;
        // a whole life has several writes, or the test would show nothing
        expect(deathAt).toBeGreaterThan(3);
      }
    },
  );
});
