import { env } from '../../src/base/env.contract.ts';
import { MemoryObjectStore, openS3ObjectStore } from '../../src/storage/index.ts';
import { openEmbeddedStore } from '../support/embedded-store.ts';
import { objectStoreSuite } from './object-store.suite.ts';

objectStoreSuite('memory', async () => ({ store: new MemoryObjectStore(), close: async () => {} }));

objectStoreSuite('S3 adapter on the embedded server', openEmbeddedStore);

objectStoreSuite('S3 adapter on the embedded server, every request by the SDK', async () => {
  const embedded = await openEmbeddedStore();
  return { ...embedded, store: openS3ObjectStore({ ...embedded.s3, direct: false }) };
});

const endpoint = process.env[env.s3Endpoint];
const bucket = process.env[env.s3Bucket];
if (endpoint !== undefined && bucket !== undefined) {
  const store = openS3ObjectStore({
    endpoint,
    region: process.env[env.s3Region] ?? 'us-east-1',
    bucket,
    accessKeyId: process.env[env.s3AccessKeyId] ?? null,
    secretAccessKey: process.env[env.s3SecretAccessKey] ?? null,
  });
  objectStoreSuite(`S3 adapter on ${endpoint}`, async () => ({ store, close: async () => {} }));
}
