import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import {
  BatchStore,
  CheckpointStore,
  findFinalizing,
  type Janitor,
  parseWebhookSecret,
  runUnitJob,
  WebhookOutbox,
} from '../../../src/batch/index.ts';
import { isAllowed, objectAccess, type StoreProcess, storeProcesses } from '../../../src/storage/access.contract.ts';
import { keys, type ObjectStore } from '../../../src/storage/index.ts';
import { pageKeys } from '../../../src/storage/page-keys.contract.ts';
import { buildDocumentSource } from '../../../workers/compose/document-source.ts';
import { PageStore } from '../../../workers/compose/page-store.ts';
import { CountingObjectStore, type StoreCall } from '../../support/counting-object-store.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';
import { chatLine, fileOf, tenant } from '../batch/batch-world.ts';
import { IntakeWorld } from '../intake/intake-world.ts';

type Action = 'read' | 'write' | 'delete';

const keyOfPage = ({ tenant: owner, digest, name }: { tenant: string; digest: string; name: string }): string =>
  pageKeys.page(owner, digest, name);

const actionOf = ({ operation }: StoreCall): Action | null => {
  if (operation === 'get' || operation === 'getStream' || operation === 'head') return 'read';
  if (operation === 'delete') return 'delete';
  return operation === 'list' || operation === 'check' ? null : 'write';
};

/** A bucket in which every call of every process is held against the contract. */
class GuardedWorld extends IntakeWorld {
  readonly refused: string[] = [];
  /** A key whose object is read with an error. */
  damaged: string | null = null;
  readonly #seen: { readonly process: StoreProcess; readonly action: Action; readonly key: string }[] = [];
  readonly stores = Object.fromEntries(storeProcesses.map((process) => [process, this.#guard(process)])) as Readonly<
    Record<StoreProcess, ObjectStore>
  >;
  readonly api = new BatchStore({ store: this.stores.api, clock: this.clock });

  #guard(process: StoreProcess): ObjectStore {
    return new CountingObjectStore(this.store, (call) => {
      const action = actionOf(call);
      if (call.operation === 'get' && call.key === this.damaged) {
        throw new AppError('corrupt.checksum', 'the bytes are not those that were written');
      }
      for (const key of action === null ? [] : call.key.split(',')) {
        this.#seen.push({ process, action: action as Action, key });
        if (!isAllowed(process, action as Action, key)) this.refused.push(`${process} ${action} ${key}`);
      }
      return 'none';
    });
  }

  startJanitor(): { readonly janitor: Janitor; readonly webhooks: WebhookOutbox } {
    const store = this.stores.janitor;
    const policy = { url: 'http://127.0.0.1:9/hook', allow: ['127.0.0.1:9'] };
    const webhooks = new WebhookOutbox({
      store,
      clock: this.clock,
      log: silentLogger,
      policy,
      secret: parseWebhookSecret(`whsec_${Buffer.from('a secret of at least 24 bytes').toString('base64')}`),
      send: async () => 204,
    });
    const batches = new BatchStore({ store, clock: this.clock });
    return { janitor: this.newJanitor({ store, batches, webhooks }), webhooks };
  }

  /** Patterns that no call needed. */
  unused(): readonly string[] {
    return storeProcesses.flatMap((process) =>
      (['read', 'write', 'delete'] as const).flatMap((action) =>
        objectAccess[process][action]
          .filter((pattern) => {
            const regex = new RegExp(`^${pattern.split('*').join('.*')}$`, 's');
            return !this.#seen.some((one) => one.process === process && one.action === action && regex.test(one.key));
          })
          .map((pattern) => `${process} ${action} ${pattern}`),
      ),
    );
  }
}

describe('what each process does in the bucket', () => {
  let folder = '';
  let removeFolder = async (): Promise<void> => {};
  beforeEach(async () => {
    const temporary = await openTemporaryFolder('access');
    folder = temporary.path;
    removeFolder = temporary.remove;
  });
  afterEach(() => removeFolder());

  it('is what the access contract allows, and all of that', async () => {
    const world = new GuardedWorld();
    const { janitor, webhooks } = world.startJanitor();

    // api: files, batches, and their ends
    const api = world.api;
    const lines = ['a', 'b'].map((name) => chatLine(name)).join('\n');
    const save = (purpose: string, more: { expiresAfterSeconds?: number } = {}) =>
      api.saveFile(tenant, fileOf(lines), { filename: 'in.jsonl', purpose, ...more });
    const input = await save('batch');
    const order = {
      tenant,
      inputFileId: input.id,
      endpoint: '/v1/chat/completions',
      completionWindow: '24h',
      metadata: null,
      outputExpiresAfterSeconds: 3_600,
      priority: 'batch',
      idempotencyKey: 'k',
    } as const;
    const { id } = await api.createBatch(order);
    await api.dropBytes(await api.storeBytes(tenant, fileOf('x')));
    await api.deleteFile(tenant, (await save('user_data')).id);
    await save('user_data', { expiresAfterSeconds: 3_600 });
    await api.setTokenBudget(tenant, id, 1_000_000);
    await janitor.sweep();

    // worker
    const store = world.stores.analysis;
    const checkpoints = new CheckpointStore(store, tenant, id, 'u000000');
    for (const epoch of [1, 2]) await checkpoints.put(epoch, []);
    await runUnitJob(
      {
        store,
        batches: new BatchStore({ store, clock: world.clock }),
        owner: 'w',
        lineConcurrency: 4,
        runLine: async ({ line }) => ({ statusCode: line.index === 0 ? 200 : 400, body: {} }),
        askCheckpoints: async () => {},
        readHeard: async () => new Map(),
        onCheckpointLost: () => {},
        onSegment: () => {},
        clock: world.clock,
        logger: silentLogger,
      },
      { tenant, batchId: id, unitId: 'u000000' },
      new AbortController().signal,
    );
    await checkpoints.sweep(null);
    await world.drop('inbox/other/memo.md', 'text');
    const load = buildDocumentSource(store, new BatchStore({ store, clock: world.clock }), tenant);
    await load({ key: 'inbox/other/memo.md' }, new AbortController().signal);
    await load({ fileId: input.id }, new AbortController().signal);
    const pages = new PageStore({ store, log: silentLogger, nowMs: () => 0 });
    const page = { tenant, digest: 'd'.repeat(64), name: 'a'.repeat(64) };
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'page'), 'bytes');
    pages.upload({ ...page, path: join(folder, 'page'), bytes: 5, replaces: false });
    await pages.settled();
    await pages.download({ ...page, path: join(folder, 'wanted') });
    world.damaged = keyOfPage(page);
    expect(await pages.download({ ...page, path: join(folder, 'wanted') })).toBe(false);
    pages.close();

    // the end, its webhook, and everything that is thrown away
    world.clock.advance(2_000);
    await janitor.sweep();
    const done = await api.getBatch(tenant, id);
    expect(done.status).toBe('completed');
    await findFinalizing(world.stores.api, done);
    await api.openFileContent(tenant, String(done.output_file_id));
    await webhooks.deliverDue(new AbortController().signal);
    for (const file of [done.output_file_id, done.error_file_id]) await api.deleteFile(tenant, String(file));
    await api.deleteBatch(tenant, id);
    await expect(api.createBatch(order)).rejects.toMatchObject({ code: 'input.state' });
    await janitor.sweep();
    world.clock.advance(26 * 3_600_000);
    await janitor.sweep();

    // the bucket as an entrance: a document, and another version of it
    const intake = world.startIntake(world.stores.intake);
    await world.drop('inbox/leases/lease-7.md', 'text');
    await world.finish(intake);
    await world.drop('inbox/leases/lease-7.md', 'another text');
    await world.finish(intake);

    expect(world.refused).toEqual([]);
    expect(world.unused()).toEqual([]);
  });

  it('is nothing outside of it', () => {
    const slot = keys.unitSlot(tenant, 'batch_1', 'u000000', 0);
    expect(isAllowed('api', 'write', slot)).toBe(false);
    expect(isAllowed('analysis', 'write', keys.batch(tenant, 'batch_1'))).toBe(false);
    expect(isAllowed('analysis', 'delete', slot)).toBe(false);
    expect(isAllowed('analysis', 'read', keys.pendingWebhook('batch_1'))).toBe(false);
    for (const process of storeProcesses) {
      expect(isAllowed(process, 'write', 'inbox/lease.md')).toBe(false);
      expect(isAllowed(process, 'delete', 'inbox/lease.md')).toBe(false);
    }
    expect(isAllowed('api', 'read', 'elsewhere')).toBe(false);
  });
});
