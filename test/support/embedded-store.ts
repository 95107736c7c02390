import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/base/log.ts';
import { type EmbeddedS3, type EmbeddedS3Options, openEmbeddedS3 } from '../../src/local/s3/index.ts';
import { type ObjectStore, openS3ObjectStore, type S3Options } from '../../src/storage/index.ts';

export const testCredentials = { accessKeyId: 'TESTKEY', secretAccessKey: 'test/secret+key' } as const;
export const testBucket = 'quire-test';

export interface EmbeddedStore {
  readonly server: EmbeddedS3;
  readonly dataDir: string;
  readonly s3: S3Options;
  readonly store: ObjectStore;
  readonly close: () => Promise<void>;
}

/** An embedded S3 server over a new folder, and the real adapter on it. */
export async function openEmbeddedStore(options: Partial<EmbeddedS3Options> = {}): Promise<EmbeddedStore> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'quire-s3-')));
  const server = await openEmbeddedS3({
    dataDir,
    port: 0,
    credentials: testCredentials,
    buckets: [testBucket],
    log: silentLogger,
    ...options,
  });
  const s3: S3Options = { endpoint: server.endpoint, region: 'us-east-1', bucket: testBucket, ...testCredentials };
  return {
    server,
    dataDir,
    s3,
    store: openS3ObjectStore(s3),
    close: async () => {
      await server.close();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
