import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { AppError, isAppError } from '../../../src/base/errors.ts';
import { sha256Hex } from '../../../src/base/hash.ts';
import type { CheckpointName, LineResult } from '../../../src/batch/records.schema.ts';
import { openUnitLog, UnitLog } from '../../../src/batch/unit-log.ts';
import { type CreateOutcome, keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { ManualClock, resultOf, tenant } from './batch-world.ts';

const batchId = 'batch_a';
const unitId = 'u000000';
let store: MemoryObjectStore;
const open = (on: MemoryObjectStore = store): UnitLog => openUnitLog(on, tenant, batchId, unitId);
const slotKey = (slot: number): string => keys.unitSlot(tenant, batchId, unitId, slot);
const lost = expect.objectContaining({ code: 'ownership.lost' });

beforeEach(() => {
  store = new MemoryObjectStore();
});

/** Loses answers or fails, as a network does; `after` means the write happened. */
class FlakyStore extends MemoryObjectStore {
  readonly failures: ('before' | 'after')[] = [];
  requestTotal = 0;

  override async get(...args: Parameters<MemoryObjectStore['get']>): ReturnType<MemoryObjectStore['get']> {
    this.requestTotal += 1;
    return super.get(...args);
  }

  override async create(key: string, body: Uint8Array): Promise<CreateOutcome> {
    this.requestTotal += 1;
    const failure = this.failures.shift();
    if (failure === 'before') throw new AppError('transient.store-error', 'no connection');
    const outcome = await super.create(key, body);
    if (failure === 'after') throw new AppError('transient.store-error', 'answer lost');
    return outcome;
  }
}

describe('UnitLog', () => {
  it('is empty before anybody wrote', async () => {
    const state = await open().fold();
    expect(state).toMatchObject({ nextSlot: 0, epoch: 0, sealed: null });
    expect(state.results.size).toBe(0);
  });

  it('keeps claim, segments and seal in consecutive slots', async () => {
    const log = open();
    expect(await log.claim('a')).toBe(1);
    await log.append([resultOf(0, 'x')]);
    await log.append([resultOf(1, 'y', 'failed')]);
    expect(await log.seal('done')).toBe('done');
    const state = await open().fold();
    expect(state).toMatchObject({ nextSlot: 4, epoch: 1, sealed: 'done' });
    expect([...state.results.values()]).toEqual([resultOf(0, 'x'), resultOf(1, 'y', 'failed')]);
  });

  it('stops a stale owner at its next write, for good', async () => {
    const [stale, next] = [open(), open()];
    await stale.claim('a');
    await stale.append([resultOf(0, 'first')]);
    expect(await next.claim('b')).toBe(2);
    await expect(stale.append([resultOf(1, 'stale')])).rejects.toEqual(lost);
    await expect(stale.append([resultOf(1, 'stale')])).rejects.toEqual(lost);
    await next.append([resultOf(1, 'good')]);
    const { results } = await open().fold();
    expect(results.get(0)?.output.custom_id).toBe('first');
    expect(results.get(1)?.output.custom_id).toBe('good');
  });

  it('lets a claim win over an owner that keeps writing', async () => {
    const [owner, next] = [open(), open()];
    await owner.claim('a');
    await next.fold();
    await owner.append([resultOf(0, 'x')]);
    expect(await next.claim('b')).toBe(2);
    expect((await next.fold()).results.size).toBe(1);
  });

  it('keeps the first result of a line', async () => {
    const log = open();
    await log.claim('a');
    await log.append([resultOf(0, 'first')]);
    await log.append([resultOf(0, 'second')]);
    expect((await open().fold()).results.get(0)?.output.custom_id).toBe('first');
  });

  it('lets a seal end everything for everybody', async () => {
    const [owner, janitor] = [open(), open()];
    await owner.claim('a');
    expect(await janitor.seal('cancelled')).toBe('cancelled');
    await expect(owner.append([resultOf(0, 'late')])).rejects.toEqual(lost);
    await expect(owner.seal('done')).rejects.toEqual(lost);
    await expect(open().seal('done')).rejects.toEqual(lost);
    expect(await open().claim('b')).toBe('sealed');
    expect(await open().seal('expired')).toBe('cancelled');
    expect((await open().fold()).results.size).toBe(0);
  });

  it('does not let a cancel overwrite a completion', async () => {
    const owner = open();
    await owner.claim('a');
    await owner.append([resultOf(0, 'x')]);
    await owner.seal('done');
    expect(await open().seal('cancelled')).toBe('done');
  });

  it('refuses to write without a claim', async () => {
    await expect(open().append([resultOf(0, 'x')])).rejects.toEqual(lost);
  });

  it('reads only new slots, and one request tells that there are none', async () => {
    const flaky = new FlakyStore();
    const writer = open(flaky);
    await writer.claim('a');
    for (let index = 0; index < 40; index++) await writer.append([resultOf(index, `c${index}`)]);
    const reader = open(flaky);
    await reader.fold();
    flaky.requestTotal = 0;
    await reader.fold();
    expect(flaky.requestTotal).toBe(1);
    await writer.append([resultOf(40, 'c40')]);
    flaky.requestTotal = 0;
    expect((await reader.fold()).results.size).toBe(41);
    expect(flaky.requestTotal).toBeLessThanOrEqual(3);
  });

  it('counts claims without a result since', async () => {
    for (let claim = 0; claim < 3; claim++) await open().claim('a');
    expect((await open().fold()).fruitlessClaims).toBe(3);
    const log = open();
    await log.claim('a');
    await log.append([resultOf(0, 'x')]);
    expect((await open().fold()).fruitlessClaims).toBe(0);
  });

  const named = (digit: string, tokens: number) => ({ sha256: digit.repeat(64), tokens });

  it('says which checkpoint counts: the newest that its holder named', async () => {
    const [stale, next] = [open(), open()];
    await stale.claim('a');
    await stale.append([], named('a', 64));
    await stale.append([resultOf(0, 'x')]);
    expect((await open().fold()).checkpoint).toEqual(named('a', 64));
    await next.claim('b');
    await expect(stale.append([], named('b', 128))).rejects.toEqual(lost);
    expect((await open().fold()).checkpoint).toEqual(named('a', 64));
    await next.append([resultOf(1, 'y')], named('c', 32));
    expect((await open().fold()).checkpoint).toEqual(named('c', 32));
  });

  it('counts claims without a longer checkpoint since: progress of a line that has no result yet', async () => {
    const claimAndSave = async (tokens: number | null): Promise<number> => {
      const log = open();
      await log.claim('a');
      if (tokens !== null) await log.append([], named('a', tokens));
      return (await open().fold()).stuckClaims;
    };
    expect(await claimAndSave(null)).toBe(1);
    expect(await claimAndSave(64)).toBe(0);
    expect(await claimAndSave(64)).toBe(1);
    expect(await claimAndSave(60)).toBe(2);
    expect(await claimAndSave(65)).toBe(0);
    expect((await open().fold()).fruitlessClaims).toBe(5);
    const log = open();
    await log.claim('a');
    await log.append([resultOf(0, 'x')]);
    // the line took its tokens with it
    expect(await claimAndSave(30)).toBe(0);
  });

  it('keeps of a result what the reader asks for', async () => {
    const writer = open();
    await writer.claim('a');
    await writer.append([resultOf(3, 'x')]);
    const counter = new UnitLog(store, tenant, batchId, unitId, { keep: ({ outcome }: LineResult) => outcome });
    expect([...(await counter.fold()).results]).toEqual([[3, 'completed']]);
  });

  it.each(['before', 'after'] as const)('gets over a request that fails %s the write', async (failure) => {
    const flaky = new FlakyStore();
    const log = new UnitLog(flaky, tenant, batchId, unitId, { keep: (result) => result, clock: new ManualClock() });
    flaky.failures.push(failure);
    expect(await log.claim('a')).toBe(1);
    flaky.failures.push(failure, failure);
    await log.append([resultOf(0, 'x')]);
    await log.append([resultOf(1, 'y')]);
    expect(await open(flaky).fold()).toMatchObject({ nextSlot: 3, epoch: 1 });
  });

  it('gives the claim up when it does not know what a slot holds', async () => {
    const flaky = new FlakyStore();
    const log = new UnitLog(flaky, tenant, batchId, unitId, { keep: (result) => result, clock: new ManualClock() });
    await log.claim('a');
    flaky.failures.push(...Array.from({ length: 6 }, () => 'before' as const));
    await expect(log.append([resultOf(0, 'x')])).rejects.toMatchObject({ family: 'transient' });
    await expect(log.append([resultOf(1, 'y')])).rejects.toEqual(lost);
    expect(await log.claim('a')).toBe(2);
  });

  it('runs calls that overlap one after the other', async () => {
    const log = open();
    await log.claim('a');
    await Promise.all([0, 1, 2, 3].map((index) => log.append([resultOf(index, `c${index}`)])));
    expect((await open().fold()).nextSlot).toBe(5);
  });

  it.each([
    ['{"version":2,"type":"claim"}', 'corrupt.version'],
    ['{"version":1,"type":"odd","nonce":"n"}', 'corrupt.record'],
    ['{"version":1,"type":"segment","epoch":1,"results":[{}],"nonce":"n"}', 'corrupt.record'],
    ['{"version":1,"type":"segment","epoch":1,"results":[],"checkpoint":"aa","nonce":"n"}', 'corrupt.record'],
    [
      '{"version":1,"type":"segment","epoch":1,"results":[],"checkpoint":{"sha256":"../../x","tokens":1},"nonce":"n"}',
      'corrupt.record',
    ],
    ['{"version":1,"type":"seal","reason":"tired","nonce":"n"}', 'corrupt.record'],
    ['{"ver', 'corrupt.record'],
  ])('refuses the slot %s', async (text, code) => {
    await store.put(slotKey(0), Buffer.from(text));
    await expect(open().fold()).rejects.toMatchObject({ code });
  });

  it('never loses or doubles a result, whoever writes in whatever order', async () => {
    const action = fc.record({
      who: fc.integer({ min: 0, max: 3 }),
      what: fc.constantFrom('claim', 'append', 'append', 'save', 'save', 'fold', 'seal'),
      index: fc.integer({ min: 0, max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const model = new Model(new MemoryObjectStore());
        for (const [step, { who, what, index }] of actions.entries()) await model.apply(who, what, index, `s${step}`);
        await model.check();
      }),
      { numRuns: 100 },
    );
  });
});

/**
 * What four writers did, and what a log must therefore say: the first accepted result of each line, the last accepted
 * checkpoint, and the seal.
 */
class Model {
  readonly #store: MemoryObjectStore;
  readonly #logs: readonly UnitLog[];
  readonly #first = new Map<number, string>();
  #checkpoint: CheckpointName | null = null;
  #isSealed = false;

  constructor(memory: MemoryObjectStore) {
    this.#store = memory;
    this.#logs = Array.from({ length: 4 }, () => open(memory));
  }

  async apply(who: number, what: string, index: number, name: string): Promise<void> {
    const log = this.#logs[who] ?? open(this.#store);
    try {
      await this.#act(log, what, index, name);
    } catch (error) {
      if (!isAppError(error) || error.family !== 'ownership') throw error;
    }
  }

  async #act(log: UnitLog, what: string, index: number, name: string): Promise<void> {
    switch (what) {
      case 'claim':
        expect((await log.claim(name)) === 'sealed').toBe(this.#isSealed);
        break;
      case 'append':
        await log.append([resultOf(index, name)]);
        expect(this.#isSealed).toBe(false);
        if (!this.#first.has(index)) this.#first.set(index, name);
        break;
      case 'save': {
        const checkpoint = { sha256: sha256Hex(name), tokens: index };
        await log.append([], checkpoint);
        this.#checkpoint = checkpoint;
        break;
      }
      case 'seal':
        await log.seal('expired');
        this.#isSealed = true;
        break;
      default:
        await log.fold();
    }
  }

  async check(): Promise<void> {
    const state = await open(this.#store).fold();
    expect(new Map([...state.results].map(([at, { output }]) => [at, output.custom_id]))).toEqual(this.#first);
    expect(state.checkpoint).toEqual(this.#checkpoint);
    expect(state.sealed !== null).toBe(this.#isSealed);
  }
}
