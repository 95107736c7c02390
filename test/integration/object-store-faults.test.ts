import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/index.ts';
import { openS3ObjectStore, type S3Options } from '../../src/storage/index.ts';
import { type EmbeddedStore, openEmbeddedStore, testBucket } from '../support/embedded-store.ts';
import { type Fault, type FaultProxy, openFaultProxy, pass, type SeenRequest } from '../support/fault-proxy.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const loseAnswer: Fault = { type: 'lose-answer' };

describe('S3 adapter on a bad line', () => {
  let embedded: EmbeddedStore;
  let proxy: FaultProxy | undefined;
  let direct: ObjectStore;

  beforeAll(async () => {
    embedded = await openEmbeddedStore();
    direct = embedded.store;
  });
  afterEach(() => proxy?.close());
  afterAll(() => embedded.close());

  const openBehind = async (
    plan: (seen: SeenRequest) => Fault | Promise<Fault>,
    options: Partial<S3Options> = {},
  ): Promise<ObjectStore> => {
    proxy = await openFaultProxy(embedded.server.endpoint, plan);
    return openS3ObjectStore({ ...embedded.s3, endpoint: proxy.endpoint, ...options });
  };
  /** The fault for the first requests of the method, the rest passes. */
  const first = (method: string, faults: readonly Fault[]): ((seen: SeenRequest) => Fault) => {
    const left = [...faults];
    return (seen) => (seen.method === method ? (left.shift() ?? pass) : pass);
  };
  const putsSeen = (): number => proxy?.seen.filter(({ method }) => method === 'PUT').length ?? 0;

  describe('create', () => {
    it('knows its own object again when the answer was lost', async () => {
      const store = await openBehind(first('PUT', [loseAnswer]));
      const outcome = await store.create('lost/own', bytesOf('mine'));
      expect(outcome).toEqual({ created: true, etag: (await direct.head('lost/own'))?.etag });
      expect(putsSeen()).toBe(2);
    });

    it('knows its own object again after three lost answers', async () => {
      const store = await openBehind(first('PUT', [loseAnswer, loseAnswer, loseAnswer]));
      expect((await store.create('lost/thrice', bytesOf('mine'))).created).toBe(true);
    });

    it('knows its own object again when the store failed after it had written', async () => {
      const fault: Fault = { type: 'answer', status: 500, code: 'InternalError', isForwarded: true };
      const store = await openBehind(first('PUT', [fault]));
      expect((await store.create('lost/500', bytesOf('mine'))).created).toBe(true);
    });

    it("does not take another's object for its own, even with equal bytes", async () => {
      await direct.create('lost/other', bytesOf('same'));
      const store = await openBehind(first('PUT', [loseAnswer]));
      expect(await store.create('lost/other', bytesOf('same'))).toEqual({ created: false });
    });

    it("reports another's object when that one came between the lost request and its repetition", async () => {
      let puts = 0;
      const store = await openBehind(async ({ method }) => {
        if (method !== 'PUT') return pass;
        puts += 1;
        if (puts > 1) return pass;
        await direct.create('lost/between', bytesOf('theirs'));
        return { type: 'lose-request' };
      });
      expect(await store.create('lost/between', bytesOf('mine'))).toEqual({ created: false });
      expect(puts).toBe(2);
    });

    it('tries again on a conflict while nothing is there, and wins', async () => {
      const conflict: Fault = { type: 'answer', status: 409, code: 'ConditionalRequestConflict', isForwarded: false };
      const store = await openBehind(first('PUT', [conflict, conflict]));
      expect((await store.create('conflict/free', bytesOf('mine'))).created).toBe(true);
      expect(putsSeen()).toBe(3);
    });

    it('takes a conflict for a lost race when an object is there', async () => {
      await direct.create('conflict/taken', bytesOf('theirs'));
      const conflict: Fault = { type: 'answer', status: 409, code: 'ConditionalRequestConflict', isForwarded: false };
      const store = await openBehind(first('PUT', [conflict]));
      expect(await store.create('conflict/taken', bytesOf('mine'))).toEqual({ created: false });
      expect(putsSeen()).toBe(1);
    });

    it('gives up on endless conflicts with a transient error', async () => {
      const conflict: Fault = { type: 'answer', status: 409, code: 'ConditionalRequestConflict', isForwarded: false };
      const store = await openBehind(({ method }) => (method === 'PUT' ? conflict : pass));
      await expect(store.create('conflict/endless', bytesOf('mine'))).rejects.toMatchObject({
        code: 'transient.store-error',
      });
    });
  });

  describe('swap', () => {
    it('knows its own object again when the answer was lost', async () => {
      const { etag } = await direct.put('swap/own', bytesOf('one'));
      const store = await openBehind(first('PUT', [loseAnswer]));
      const outcome = await store.swap('swap/own', bytesOf('two'), etag);
      expect(outcome).toEqual({ swapped: true, etag: (await direct.head('swap/own'))?.etag });
    });

    it('counts exactly while one answer in three is lost', async () => {
      await direct.put('swap/counter', bytesOf('0'));
      const store = await openBehind(({ method, count }) => (method === 'PUT' && count % 3 === 0 ? loseAnswer : pass));
      const increment = async (): Promise<void> => {
        for (;;) {
          const found = await store.get('swap/counter');
          const next = Number(Buffer.from(found?.body ?? []).toString()) + 1;
          if ((await store.swap('swap/counter', bytesOf(String(next)), found?.etag ?? '')).swapped) return;
        }
      };
      await increment();
      for (let turn = 0; turn < 5; turn += 1) await Promise.all([increment(), increment()]);
      const total = Number(Buffer.from((await direct.get('swap/counter'))?.body ?? []).toString());
      // a swap that was won and at once replaced by a rival counts as lost and is done again: never fewer
      expect(total).toBeGreaterThanOrEqual(11);
    });
  });

  describe('multipart', () => {
    const stream = async function* (): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 9; index += 1) yield Buffer.alloc(1024 * 1024, index);
    };

    it('knows its own object again when the answer to the completion was lost', async () => {
      let isLost = false;
      const store = await openBehind(({ method, url }) => {
        if (isLost || method !== 'POST' || !url.includes('uploadId=')) return pass;
        isLost = true;
        return loseAnswer;
      });
      const result = await store.putStream('upload/lost', stream());
      expect(isLost).toBe(true);
      expect(await direct.head('upload/lost')).toMatchObject({ bytes: result.bytes, etag: result.etag, metadata: {} });
    });

    it('leaves no parts behind when the stream is too long, its source breaks or the store fails', async () => {
      const tooLong = direct.putStream('upload/left', stream(), { maxBytes: 8.5 * 1024 * 1024 });
      await expect(tooLong).rejects.toMatchObject({ code: 'input.too-large' });
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield* stream();
        yield* stream();
        throw new Error('the source broke');
      };
      await expect(direct.putStream('upload/left', broken())).rejects.toThrow('the source broke');
      const ill: Fault = { type: 'answer', status: 503, code: 'SlowDown', isForwarded: false };
      const store = await openBehind(({ method }) => (method === 'PUT' ? ill : pass), { maxAttempts: 1 });
      await expect(store.putStream('upload/left', stream())).rejects.toMatchObject({ code: 'transient.store-error' });
      expect(await direct.head('upload/left')).toBeUndefined();
      expect(await readdir(join(embedded.dataDir, 'uploads', testBucket))).toEqual([]);
    });

    it('sends a part again whose connection broke', async () => {
      const store = await openBehind(first('PUT', [{ type: 'lose-request' }, loseAnswer]));
      expect((await store.putStream('upload/part', stream())).bytes).toBe(9 * 1024 * 1024);
    });
  });

  describe('get', () => {
    it('asks again for a body that broke off', async () => {
      await direct.put('get/cut', Buffer.alloc(300_000, 5));
      const store = await openBehind(first('GET', [{ type: 'cut-body' }, { type: 'cut-body' }]));
      const found = await store.get('get/cut');
      expect(Buffer.from(found?.body ?? []).equals(Buffer.alloc(300_000, 5))).toBe(true);
    });

    it('fails with a transient error when the body breaks off every time', async () => {
      await direct.put('get/cut', Buffer.alloc(300_000, 5));
      const store = await openBehind(({ method }) => (method === 'GET' ? { type: 'cut-body' } : pass));
      await expect(store.get('get/cut')).rejects.toMatchObject({ code: 'transient.store-unreachable' });
    });

    it('tells the reader of a stream that its body broke off', async () => {
      await direct.put('get/cut', Buffer.alloc(300_000, 5));
      const store = await openBehind(({ method }) => (method === 'GET' ? { type: 'cut-body' } : pass));
      const found = await store.getStream('get/cut');
      const read = async (): Promise<void> => {
        for await (const _chunk of found?.stream ?? []) {
          // only the end matters
        }
      };
      await expect(read()).rejects.toMatchObject({ code: 'transient.store-unreachable' });
    });
  });

  describe('requests without the SDK', () => {
    const sdkRequests = (): readonly string[] =>
      (proxy?.seen ?? [])
        .filter(({ headers }) => headers['user-agent']?.includes('aws-sdk'))
        .map(({ method }) => method);
    const useAll = async (store: ObjectStore): Promise<void> => {
      const created = await store.create('direct/a', bytesOf('one'));
      if (!created.created) throw new Error('it was there before');
      expect((await store.swap('direct/a', bytesOf('two'), created.etag)).swapped).toBe(true);
      expect(await store.create('direct/a', bytesOf('one'))).toEqual({ created: false });
      await store.put('direct/b', bytesOf('b'), { contentType: 'text/plain', metadata: { of: 'b' } });
      expect(await store.get('direct/a', { range: { start: 1, end: 9 } })).toMatchObject({ body: bytesOf('wo') });
      expect(await store.head('direct/b')).toMatchObject({
        bytes: 1,
        contentType: 'text/plain',
        metadata: { of: 'b' },
      });
      expect([await store.head('direct/c'), await store.get('direct/c')]).toEqual([undefined, undefined]);
      await direct.delete(['direct/a', 'direct/b']);
    };

    it('are all that is simple, while nothing goes wrong', async () => {
      await useAll(await openBehind(() => pass));
      // the object that is there tells whose the lost race was
      expect(sdkRequests()).toEqual(['HEAD']);
    });

    it('are left to the SDK when they fail, each one anew', async () => {
      const failure: Fault = { type: 'answer', status: 503, code: 'SlowDown', isForwarded: false };
      await useAll(await openBehind(({ headers }) => (headers['user-agent'] === undefined ? failure : pass)));
      expect(sdkRequests().filter((method) => method === 'PUT')).toHaveLength(4);
      expect(sdkRequests().filter((method) => method === 'GET')).toHaveLength(2);
    });

    it.each([{ direct: false }, { maxAttempts: 1 }])('are never made with %o', async (options) => {
      const store = await openBehind(() => pass, options);
      await store.put('direct/none', bytesOf('x'));
      expect((await store.get('direct/none'))?.bytes).toBe(1);
      expect(sdkRequests()).toEqual(['PUT', 'GET']);
    });
  });

  describe('errors', () => {
    it('names the store that does not answer', async () => {
      const store = openS3ObjectStore({ ...embedded.s3, endpoint: 'http://127.0.0.1:1', maxAttempts: 1 });
      const failure = store.get('any');
      await expect(failure).rejects.toMatchObject({ code: 'transient.store-unreachable' });
      await expect(failure).rejects.toThrow(/bucket quire-test at http:\/\/127\.0\.0\.1:1/);
    });

    it('calls failures of the store transient and keeps the cause', async () => {
      const ill: Fault = { type: 'answer', status: 503, code: 'SlowDown', isForwarded: false };
      const store = await openBehind(() => ill, { maxAttempts: 2 });
      for (const run of [() => store.put('any', bytesOf('x')), () => store.list(''), () => store.delete(['any'])]) {
        await expect(run()).rejects.toMatchObject({ code: 'transient.store-error', cause: { name: 'SlowDown' } });
      }
    });

    it('names bucket and endpoint, and no secret, when the keys are wrong', async () => {
      const wrong = { ...embedded.s3, secretAccessKey: 'wrong-secret-value' };
      for (const options of [wrong, { ...embedded.s3, accessKeyId: 'NOBODY' }]) {
        const failure = await openS3ObjectStore(options)
          .check()
          .catch((error: unknown) => error);
        expect(failure).toMatchObject({ code: 'input.config' });
        const { message } = failure as Error;
        expect(message).toContain('quire-test');
        expect(message).toContain(embedded.server.endpoint);
        expect(JSON.stringify(failure) + message).not.toContain('secret-value');
      }
    });

    it('tells apart a wrong secret, an unknown key and a missing bucket where the answer says which', async () => {
      const failureOf = async (options: Partial<S3Options>): Promise<string> => {
        const store = openS3ObjectStore({ ...embedded.s3, ...options });
        return store.list('').then(
          () => 'none',
          (error: Error) => error.message,
        );
      };
      expect(await failureOf({ secretAccessKey: 'wrong' })).toContain('does not accept the secret key');
      expect(await failureOf({ accessKeyId: 'NOBODY' })).toContain('does not know the access key');
      expect(await failureOf({ bucket: 'not-there' })).toContain('has no such bucket');
    });

    it('names the bucket that is missing', async () => {
      const store = openS3ObjectStore({ ...embedded.s3, bucket: 'not-there' });
      await expect(store.check()).rejects.toMatchObject({ code: 'input.config' });
      await expect(store.check()).rejects.toThrow(/no such bucket: not-there/);
      await expect(store.swap('a', bytesOf('x'), 'etag')).rejects.toMatchObject({ code: 'input.config' });
      await expect(store.get('a')).rejects.toMatchObject({ code: 'input.config' });
    });

    it('rejects an endpoint that is no URL without repeating it', () => {
      for (const endpoint of ['localhost:9000', 'ftp://host', 'http://user:hidden@host']) {
        expect(() => openS3ObjectStore({ ...embedded.s3, endpoint })).toThrow(/must be an http:\/\//);
        expect(() => openS3ObjectStore({ ...embedded.s3, endpoint })).not.toThrow(/hidden/);
      }
    });
  });
});
