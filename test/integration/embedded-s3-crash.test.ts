import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/base/hash.ts';
import { type ObjectStore, openS3ObjectStore } from '../../src/storage/index.ts';
import { openEmbeddedStore, testBucket, testCredentials } from '../support/embedded-store.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

const childPath = fileURLToPath(new URL('../support/embedded-s3-child.ts', import.meta.url));

async function startChild(dataDir: string): Promise<{ readonly child: ChildProcess; readonly endpoint: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', childPath, dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  return { child, endpoint: String(line).trim() };
}

/** Writes until the server is gone; what was acknowledged is in the maps. */
async function writeUntilGone(store: ObjectStore, round: number, acknowledged: Acknowledged): Promise<void> {
  const create = async (writer: number): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const key = `r${round}/w${writer}/${turn}`;
      const body = randomBytes((turn * 7919) % 200_000);
      const outcome = await store.create(key, body, { metadata: { sha256: sha256Hex(body) } });
      if (outcome.created) acknowledged.created.set(key, sha256Hex(body));
    }
  };
  const count = async (): Promise<void> => {
    for (;;) {
      const found = await store.get('counter');
      const next = String(Number(Buffer.from(found?.body ?? []).toString()) + 1);
      const outcome =
        found === undefined
          ? await store.create('counter', Buffer.from(next))
          : await store.swap('counter', Buffer.from(next), found.etag);
      if ('created' in outcome ? outcome.created : outcome.swapped) acknowledged.count = Number(next);
    }
  };
  const upload = async (): Promise<void> => {
    for (let turn = 0; ; turn += 1) {
      const part = Buffer.alloc(5 * 1024 * 1024, turn);
      const source = async function* (): AsyncGenerator<Uint8Array> {
        yield part;
        yield part;
      };
      const { sha256 } = await store.putStream(`r${round}/upload-${turn}`, source());
      acknowledged.created.set(`r${round}/upload-${turn}`, sha256);
    }
  };
  const work = [...Array.from({ length: 6 }, (_, writer) => create(writer)), count(), upload()];
  const ends = await Promise.allSettled(work);
  for (const end of ends) {
    expect(end).toMatchObject({ status: 'rejected', reason: { code: 'transient.store-unreachable' } });
  }
}

interface Acknowledged {
  readonly created: Map<string, string>;
  count: number;
}

describe('embedded S3 server killed in the middle of its work', () => {
  it('has every acknowledged object whole, none in part, and no leftovers after the next start', async () => {
    const folder = await openTemporaryFolder('s3-crash');
    const acknowledged: Acknowledged = { created: new Map(), count: 0 };
    for (let round = 0; round < 3; round += 1) {
      const { child, endpoint } = await startChild(folder.path);
      const store = openS3ObjectStore({
        endpoint,
        region: 'us-east-1',
        bucket: testBucket,
        ...testCredentials,
        maxAttempts: 1,
      });
      const before = acknowledged.created.size;
      const writing = writeUntilGone(store, round, acknowledged);
      await expect.poll(() => acknowledged.created.size - before, { timeout: 20_000 }).toBeGreaterThan(60);
      child.kill('SIGKILL');
      await Promise.all([writing, once(child, 'exit')]);
    }
    const reopened = await openEmbeddedStore({ dataDir: folder.path });
    expect(await readdir(join(folder.path, 'tmp'))).toEqual([]);
    for (const [key, sha256] of acknowledged.created) {
      const found = await reopened.store.get(key);
      expect(found && sha256Hex(found.body), key).toBe(sha256);
    }
    // what was written but never acknowledged is whole as well
    for (let round = 0; round < 3; round += 1) {
      for (let after: string | null = ''; after !== null; ) {
        const page = await reopened.store.list(`r${round}/w`, after === '' ? {} : { after });
        for (const { key } of page.objects) {
          const found = await reopened.store.get(key);
          expect(found && sha256Hex(found.body), key).toBe(found?.metadata['sha256']);
        }
        after = page.next;
      }
    }
    const counter = Number(Buffer.from((await reopened.store.get('counter'))?.body ?? []).toString());
    expect(counter).toBeGreaterThanOrEqual(acknowledged.count);
    // one unacknowledged step a kill at most
    expect(counter).toBeLessThanOrEqual(acknowledged.count + 3);
    await reopened.close();
    await folder.remove();
  }, 90_000);
});
