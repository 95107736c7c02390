import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ObjectCreatedEvent } from '../../src/local/s3/index.ts';
import { type EmbeddedStore, openEmbeddedStore, testBucket, testCredentials } from '../support/embedded-store.ts';

/**
 * What `aws s3 cp` does to a file: parts of 8 MiB, several at once in any order, each with a checksum; reading in
 * ranges. And where it finds its keys: the file that `AWS_SHARED_CREDENTIALS_FILE` names.
 */
const mebibyte = 1 << 20;
const partBytes = 8 * mebibyte;
const body = randomBytes(20 * mebibyte);
const Bucket = testBucket;
const Key = 'inbox/scans/big.md';

let embedded: EmbeddedStore;
let folder = '';
const events: ObjectCreatedEvent[] = [];
const clients: S3Client[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quire-transfer-'));
  embedded = await openEmbeddedStore({ onObjectCreated: (event) => void events.push(event) });
});
afterEach(() => {
  vi.unstubAllEnvs();
  for (const client of clients.splice(0)) client.destroy();
});
afterAll(async () => {
  await embedded.close();
  await rm(folder, { recursive: true });
});

/** A client that is told the endpoint and nothing else; its keys come from a file, as those of the AWS tools. */
async function openClient(secret: string = testCredentials.secretAccessKey): Promise<S3Client> {
  const path = join(folder, `aws-credentials-${clients.length}-${secret.length}`);
  const keys = `aws_access_key_id = ${testCredentials.accessKeyId}\naws_secret_access_key = ${secret}\n`;
  await writeFile(path, `[default]\n${keys}region = eu-central-1\n`, { mode: 0o600 });
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE']) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path);
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'no-config'));
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  const client = new S3Client({ endpoint: embedded.server.endpoint, region: 'eu-central-1', forcePathStyle: true });
  clients.push(client);
  // what the environment says now is read here, before the next client changes it
  await client.config.credentials();
  return client;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function upload(client: S3Client, bytes: Buffer): Promise<string> {
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ Bucket, Key, ContentType: 'text/markdown' }),
  );
  const count = Math.ceil(bytes.length / partBytes);
  const send = async (index: number): Promise<CompletedPart> => {
    const PartNumber = index + 1;
    const Body = bytes.subarray(index * partBytes, (index + 1) * partBytes);
    const { ETag, ChecksumCRC32 } = await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }),
    );
    return { PartNumber, ETag, ChecksumCRC32 };
  };
  // the last one first: parts may arrive in any order
  const Parts = await Promise.all(Array.from({ length: count }, (_, index) => send(count - 1 - index)));
  const MultipartUpload = { Parts: Parts.reverse() };
  const { ETag } = await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
  return ETag ?? '';
}

async function readRange(client: S3Client, start: number, end: number): Promise<Uint8Array> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, Range: `bytes=${start}-${end - 1}` }));
  return (await Body?.transformToByteArray()) ?? new Uint8Array();
}

describe('the transfer of a large file', () => {
  it('takes a stream of unknown length from the SDK transfer manager, and is read back the same', async () => {
    const client = await openClient();
    const stream = Readable.from([body.subarray(0, 3 * mebibyte), body.subarray(3 * mebibyte)]);
    const params = { Bucket, Key: 'transfer/managed.bin', Body: stream };
    await new Upload({ client, params, queueSize: 4, partSize: partBytes }).done();
    const { Body, ContentLength } = await client.send(new GetObjectCommand({ Bucket, Key: params.Key }));
    expect(ContentLength).toBe(body.length);
    expect(sha256((await Body?.transformToByteArray()) ?? new Uint8Array())).toBe(sha256(body));
  });

  it('brings 20 MiB there and back, whole, with keys out of a credentials file', async () => {
    const client = await openClient();
    const etag = await upload(client, body);
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
    expect(head).toMatchObject({ ContentLength: body.length, ContentType: 'text/markdown', ETag: etag });
    expect(etag).toMatch(/^"[0-9a-f]{32}-3"$/);
    const starts = Array.from({ length: 3 }, (_, index) => index * partBytes);
    const ranges = await Promise.all(
      starts.map((start) => readRange(client, start, Math.min(start + partBytes, body.length))),
    );
    expect(sha256(Buffer.concat(ranges))).toBe(sha256(body));
  });

  it('announces the object once, when it is whole', () => {
    expect(events.filter(({ key }) => key === Key)).toEqual([
      expect.objectContaining({ bucket: Bucket, bytes: body.length }),
    ]);
  });

  it('is seen by our own adapter under the same etag', async () => {
    const client = await openClient();
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket, Key }));
    const found = await embedded.store.get(Key);
    expect(`"${found?.etag}"`).toBe(ETag);
    expect(sha256(found?.body ?? new Uint8Array())).toBe(sha256(body));
  });

  it('leaves what was there as it was until it is complete, and when it is given up', async () => {
    const client = await openClient();
    const before = await client.send(new HeadObjectCommand({ Bucket, Key }));
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: body.subarray(0, partBytes) }),
    );
    expect((await client.send(new HeadObjectCommand({ Bucket, Key }))).ETag).toBe(before.ETag);
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    await expect(client.send(new ListPartsCommand({ Bucket, Key, UploadId }))).rejects.toMatchObject({
      name: 'NoSuchUpload',
    });
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'inbox/' }));
    expect(Contents?.map(({ Key: key, ETag }) => [key, ETag])).toEqual([[Key, before.ETag]]);
  });

  it('puts a small file in one request', async () => {
    const client = await openClient();
    const small = Buffer.from('The rent is 900 euros.\n');
    await client.send(new PutObjectCommand({ Bucket, Key: 'inbox/leases/lease.md', Body: small }));
    expect(Buffer.from((await embedded.store.get('inbox/leases/lease.md'))?.body ?? [])).toEqual(small);
  });

  it('is refused with keys that are not those of the server', async () => {
    const client = await openClient('wrong/secret');
    const put = client.send(new PutObjectCommand({ Bucket, Key: 'inbox/leases/other.md', Body: 'x' }));
    await expect(put).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    expect(await embedded.store.head('inbox/leases/other.md')).toBeUndefined();
  });
});
