import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DropStatus, OutboxManifest, Receipt } from '../../src/intake/index.ts';
import { manifestName, outputKeysOf } from '../../src/intake/index.ts';
import { type LocalBucket, openLocalBucket } from '../../src/local/index.ts';
import { type ObjectStore, openS3ObjectStore } from '../../src/storage/index.ts';
import { RunningStack, sampleDocuments } from '../support/stack-client.ts';

/** The bucket as an entrance, through the whole stack: drop objects, find receipts, watch, collect. */
let stack: RunningStack;
let bucket: LocalBucket;
let store: ObjectStore;

const template = {
  questions: [{ id: 'notice', question: 'How many days of notice?' }],
  max_completion_tokens: 4,
  thinking_budget: 0,
  answer: 'text',
};

beforeAll(async () => {
  // waits of a second instead of five: 200 documents are settled while others still come
  stack = await RunningStack.start({ env: { QUIRE_INTAKE_SETTLE_MS: '1000' } });
  bucket = await openLocalBucket(stack.dataDir, {});
  store = openS3ObjectStore(bucket.s3);
});

afterAll(async () => {
  await bucket.close();
  await stack.remove();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function read<Value>(key: string): Promise<Value | undefined> {
  const object = await store.get(key);
  return object === undefined ? undefined : (JSON.parse(Buffer.from(object.body).toString('utf8')) as Value);
}

const drop = (key: string, text: string): Promise<{ readonly etag: string }> => store.put(key, Buffer.from(text));

async function until<Value>(what: () => Promise<Value | undefined>): Promise<Value> {
  for (;;) {
    const value = await what();
    if (value !== undefined) return value;
    await sleep(200);
  }
}

async function listAll(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const listing: Awaited<ReturnType<ObjectStore['list']>> = await store.list(prefix, after === '' ? {} : { after });
    found.push(...listing.objects.map(({ key }) => key));
    after = listing.next;
  }
  return found;
}

/** SIGKILL, and until the next one is there. */
async function killIntake(): Promise<void> {
  const pid = stack.pids()['intake'];
  if (pid === undefined) throw new Error(`no intake among ${JSON.stringify(stack.pids())}`);
  process.kill(pid, 'SIGKILL');
  await until(async () => (stack.pids()['intake'] === pid ? undefined : true));
}

const sample = (): string => sampleDocuments(1)[0]?.text ?? '';

describe('the bucket as an entrance', () => {
  it('answers a dropped document, with receipt, status, results and manifest', { timeout: 120_000 }, async () => {
    const key = 'inbox/one/contract.md';
    await drop('inbox/one/analysis.json', JSON.stringify(template));
    const { etag } = await drop(key, sample());
    const names = outputKeysOf(key);
    const manifest = await until(() => read<OutboxManifest>(names.manifest));
    const status = await until(async () => {
      const now = await read<DropStatus>(names.status);
      return now?.status === 'completed' ? now : undefined;
    });
    const receipt = await read<Receipt>(names.receipt);
    expect(receipt).toMatchObject({ key, etag, state: 'accepted', custom_ids: ['notice'] });
    expect(status).toMatchObject({
      batch_id: receipt?.batch_id,
      request_counts: { total: 1, completed: 1, failed: 0 },
    });
    expect(manifest).toMatchObject({ etag, totals: { lines: 1, completed: 1, failed: 0 } });
    const results = Buffer.from((await store.get(names.results))?.body ?? '').toString('utf8');
    expect(JSON.parse(results)).toMatchObject({ custom_id: 'notice', response: { status_code: 200 } });
  });

  it('runs a manifest as one batch', { timeout: 120_000 }, async () => {
    const folder = 'inbox/many/';
    const lines = ['a', 'b'].map((id) =>
      JSON.stringify({
        custom_id: id,
        method: 'POST',
        url: '/v1/analyses',
        body: {
          model: 'quire-nano',
          documents: [{ key: 'contract.md' }],
          question: `${id}?`,
          answer: 'text',
          max_completion_tokens: 4,
          thinking_budget: 0,
        },
      }),
    );
    await drop(`${folder}contract.md`, sample());
    await drop(`${folder}${manifestName}`, lines.join('\n'));
    await drop(`${folder}${manifestName}.ready`, '');
    const names = outputKeysOf(`${folder}${manifestName}`);
    const manifest = await until(() => read<OutboxManifest>(names.manifest));
    expect(manifest.totals).toMatchObject({ lines: 2, completed: 2, failed: 0 });
    expect(manifest.lines.map((line) => line.custom_id)).toEqual(['a', 'b']);
    expect(await read(outputKeysOf(`${folder}contract.md`).receipt)).toBeUndefined();
  });

  it('rejects what it cannot read, naming the type', { timeout: 60_000 }, async () => {
    await drop('inbox/one/scan.pdf', '%PDF-1.7');
    const receipt = await until(() => read<Receipt>(outputKeysOf('inbox/one/scan.pdf').receipt));
    expect(receipt).toMatchObject({ state: 'rejected', batch_id: null });
    expect(receipt.reason).toMatch(/type \.pdf cannot be read; allowed: \.txt, \.md/);
  });

  it('gives 200 dropped documents 200 receipts and 200 results, none twice, through kill -9 of the intake', {
    timeout: 900_000,
  }, async () => {
    const total = 200;
    const keys = Array.from({ length: total }, (_, index) => `inbox/pile/${String(index).padStart(3, '0')}.md`);
    const textOf = (index: number): string => `Clause ${index}: party ${index} gives ${index + 3} days of notice.`;
    await drop('inbox/pile/analysis.json', JSON.stringify(template));
    const kills = [40, 120, 180];
    const etags = new Map<string, string>();
    for (const [index, key] of keys.entries()) {
      const { etag } = await drop(key, textOf(index));
      etags.set(key, etag);
      // the same bytes again: another event, no other object
      if (index % 7 === 0) await drop(key, textOf(index));
      if (!kills.includes(index)) continue;
      // what the bucket says meanwhile is lost: nobody listens
      await killIntake();
    }
    await until(async () => {
      const manifests = (await listAll('outbox/pile/')).filter((key) => key.endsWith('/manifest.json'));
      // once more, while results come in
      if (manifests.length >= 60 && kills.length === 3) {
        kills.push(-1);
        await killIntake();
      }
      return manifests.length === total ? true : undefined;
    });
    await until(async () => ((await listAll('v1/default/drops/open/')).length === 0 ? true : undefined));
    const batchIds = new Set<string>();
    for (const key of keys) {
      const names = outputKeysOf(key);
      const [receipt, manifest] = [await read<Receipt>(names.receipt), await read<OutboxManifest>(names.manifest)];
      expect(receipt).toMatchObject({ key, etag: etags.get(key), state: 'accepted' });
      expect(manifest).toMatchObject({ batch_id: receipt?.batch_id, totals: { lines: 1, completed: 1, failed: 0 } });
      const results = Buffer.from((await store.get(names.results))?.body ?? '').toString('utf8');
      expect(results.trim().split('\n')).toHaveLength(1);
      batchIds.add(String(receipt?.batch_id));
    }
    expect(batchIds.size).toBe(total);
    expect((await listAll('receipts/pile/')).length).toBe(total);
    // and no batch anybody did not ask for: one of each pile document, and those of the tests above
    const made = (await listAll('v1/default/batches/')).filter((key) => key.endsWith('/batch.json'));
    expect(made.length).toBe(total + 2);
  });
});
