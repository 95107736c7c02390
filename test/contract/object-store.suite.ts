import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/base/hash.ts';
import { compareKeys } from '../../src/storage/key-order.contract.ts';
import type { ListOptions, ObjectStore } from '../../src/storage/object-store.ts';

export interface OpenedObjectStore {
  readonly store: ObjectStore;
  readonly close: () => Promise<void>;
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const textOf = (body: Uint8Array | undefined): string => Buffer.from(body ?? []).toString();
const mebibyte = 1024 * 1024;

/** What every implementation of the port keeps. Keys lie under a prefix of their own, so a shared bucket will do. */
export function objectStoreSuite(name: string, open: () => Promise<OpenedObjectStore>): void {
  describe(`ObjectStore: ${name}`, () => {
    let opened: OpenedObjectStore;
    let store: ObjectStore;
    let root = '';
    const all: string[] = [];

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    beforeEach(() => {
      root = `suite-${randomBytes(6).toString('hex')}/`;
      all.push(root);
    });
    afterAll(async () => {
      for (const prefix of all) await store.delete(await keysUnder(store, prefix));
      await opened.close();
    }, 60_000);

    describe('objects', () => {
      it('gives back what was put, with its etag, length, type and metadata', async () => {
        const { etag } = await store.put(`${root}a`, bytesOf('hello'), {
          contentType: 'text/plain',
          metadata: { origin: 'suite', 'two-words': 'a b' },
        });
        const found = await store.get(`${root}a`);
        expect(textOf(found?.body)).toBe('hello');
        expect(found).toMatchObject({
          key: `${root}a`,
          bytes: 5,
          etag,
          contentType: 'text/plain',
          metadata: { origin: 'suite', 'two-words': 'a b' },
        });
        const { body: _body, ...head } = found ?? { body: null };
        expect(await store.head(`${root}a`)).toEqual(head);
      });

      it('tells when an object was written', async () => {
        const beforeMs = Date.now();
        await store.put(`${root}a`, bytesOf('x'));
        const head = await store.head(`${root}a`);
        // headers carry whole seconds, clocks of other machines differ
        expect(Math.abs((head?.lastModifiedMs ?? 0) - beforeMs)).toBeLessThan(60_000);
      });

      it('replaces an object whole, its metadata included', async () => {
        const first = await store.put(`${root}a`, bytesOf('one'), { metadata: { old: 'yes' } });
        const second = await store.put(`${root}a`, bytesOf('second'), { contentType: 'text/x-new' });
        expect(second.etag).not.toBe(first.etag);
        const found = await store.get(`${root}a`);
        expect(textOf(found?.body)).toBe('second');
        expect(found?.metadata).toEqual({});
        expect(found?.contentType).toBe('text/x-new');
      });

      it('keeps an empty object', async () => {
        await store.put(`${root}empty`, new Uint8Array());
        expect((await store.get(`${root}empty`))?.body.byteLength).toBe(0);
        expect((await store.head(`${root}empty`))?.bytes).toBe(0);
      });

      it('answers an absent key with undefined', async () => {
        expect(await store.get(`${root}none`)).toBeUndefined();
        expect(await store.getStream(`${root}none`)).toBeUndefined();
        expect(await store.head(`${root}none`)).toBeUndefined();
        expect(await store.get(`${root}none`, { range: { start: 0, end: 4 } })).toBeUndefined();
      });

      it('does not take a folder for an object', async () => {
        await store.put(`${root}folder/a`, bytesOf('x'));
        expect(await store.get(`${root}folder`)).toBeUndefined();
        expect(await store.get(`${root}folder/`)).toBeUndefined();
        expect(await store.get(`${root}folder/a/b`)).toBeUndefined();
      });

      it('keeps bodies of every length around the sizes of buffers', async () => {
        for (const bodyBytes of [1, 4095, 4096, 4097, 65_535, 65_536, 65_537, mebibyte, mebibyte + 1]) {
          const body = randomBytes(bodyBytes);
          await store.put(`${root}length-${bodyBytes}`, body);
          const found = await store.get(`${root}length-${bodyBytes}`);
          expect(Buffer.from(found?.body ?? []).equals(body), `${bodyBytes} bytes`).toBe(true);
        }
      });

      it('does not share memory with its caller', async () => {
        const body = Buffer.from('before');
        await store.put(`${root}a`, body);
        body.write('after!');
        const found = await store.get(`${root}a`);
        found?.body.fill(0);
        expect(textOf((await store.get(`${root}a`))?.body)).toBe('before');
      });

      it('rejects keys that are none', async () => {
        for (const key of ['', 'k'.repeat(1025), 'é'.repeat(513), `${root}nul\0`, `${root}half\ud800`]) {
          await expect(store.put(key, bytesOf('x'))).rejects.toMatchObject({ code: 'input.invalid-request' });
          await expect(store.get(key)).rejects.toMatchObject({ code: 'input.invalid-request' });
          await expect(store.delete([key])).rejects.toMatchObject({ code: 'input.invalid-request' });
        }
      });

      it('rejects metadata that a header would change', async () => {
        for (const value of [' leading', 'trailing ', 'line\nbreak', 'ümlaut']) {
          const put = store.put(`${root}a`, bytesOf('x'), { metadata: { name: value } });
          await expect(put).rejects.toMatchObject({ code: 'input.invalid-request' });
        }
        expect(await store.head(`${root}a`)).toBeUndefined();
      });

      it('stops with the reason of the signal', async () => {
        const reason = new Error('asked to stop');
        await store.put(`${root}a`, bytesOf('x'));
        await expect(store.get(`${root}a`, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        await expect(store.getStream(`${root}a`, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      });

      it('finds bucket and credentials in order', async () => {
        await expect(store.check()).resolves.toBeUndefined();
      });
    });

    describe('odd keys', () => {
      const odd = [
        'a b+c&d=e?f#g%h',
        'percent%2Fslash',
        'a//b',
        'a/./b',
        'a/b/',
        'Case',
        'case',
        'ünïcode/文書/🗂️',
        'e\u0301', // the same letter in two spellings: two keys
        '\u00e9',
        'quote"\'<>&;',
        'back\\slash',
        '.hidden',
        'tilde~*()!',
        'line\nbreak\ttab',
        'a@',
        'a',
        '文'.repeat(300),
        `${'long'.repeat(240)}`,
        `${'d/'.repeat(450)}deep`,
        '\u{10ffff}',
        '\uffee',
      ];

      it('keeps each under its own name and lists them in byte order', async () => {
        for (const key of odd) await store.put(root + key, bytesOf(key));
        for (const key of odd) expect(textOf((await store.get(root + key))?.body), key).toBe(key);
        expect(await keysUnder(store, root)).toEqual(odd.map((key) => root + key).sort(compareKeys));
      });

      it('deletes each alone', async () => {
        for (const key of odd) await store.put(root + key, bytesOf(key));
        for (const [index, key] of odd.entries()) {
          await store.delete([root + key]);
          expect(await store.head(root + key), key).toBeUndefined();
          const next = odd[index + 1];
          if (next !== undefined) expect(await store.head(root + next), next).toBeDefined();
        }
        expect(await keysUnder(store, root)).toEqual([]);
      });

      it('lists only what starts with an odd prefix', async () => {
        await Promise.all(odd.map((key) => store.put(root + key, bytesOf(key))));
        for (const key of odd) {
          const expected = odd.filter((other) => other.startsWith(key)).map((other) => root + other);
          expect(await keysUnder(store, root + key), key).toEqual(expected.sort(compareKeys));
        }
      });
    });

    describe('ranges', () => {
      const get = async (start: number, end: number): Promise<string> => {
        const found = await store.get(`${root}ten`, { range: { start, end } });
        expect(found?.bytes).toBe(10);
        return textOf(found?.body);
      };

      it('reads half-open ranges and stops at the end', async () => {
        await store.put(`${root}ten`, bytesOf('0123456789'));
        expect(await get(0, 1)).toBe('0');
        expect(await get(2, 5)).toBe('234');
        expect(await get(9, 10)).toBe('9');
        expect(await get(0, 10)).toBe('0123456789');
        expect(await get(8, 100)).toBe('89');
      });

      it('reads nothing from an empty range and from one past the end', async () => {
        await store.put(`${root}ten`, bytesOf('0123456789'));
        expect(await get(3, 3)).toBe('');
        expect(await get(10, 12)).toBe('');
        expect(await get(1000, 2000)).toBe('');
        await store.put(`${root}empty`, new Uint8Array());
        expect((await store.get(`${root}empty`, { range: { start: 0, end: 5 } }))?.body.byteLength).toBe(0);
      });

      it('streams a range', async () => {
        await store.put(`${root}ten`, bytesOf('0123456789'));
        const found = await store.getStream(`${root}ten`, { range: { start: 3, end: 7 } });
        expect(found?.bytes).toBe(10);
        expect(found && (await buffer(found.stream)).toString()).toBe('3456');
        const past = await store.getStream(`${root}ten`, { range: { start: 20, end: 30 } });
        expect(past && (await buffer(past.stream)).byteLength).toBe(0);
      });

      it('rejects a range that is none', async () => {
        await expect(store.get(`${root}ten`, { range: { start: 5, end: 4 } })).rejects.toMatchObject({
          code: 'bug.invariant',
        });
      });
    });

    describe('streams', () => {
      it('stores a stream of several parts and tells its length and sha256', async () => {
        // chunks that fit no part, and a length that is no multiple of anything
        const body = randomBytes(20 * mebibyte + 12_345);
        const result = await store.putStream(`${root}long`, chunksOf(body, 777_777), {
          contentType: 'application/x-long',
          metadata: { part: 'many' },
        });
        expect(result.bytes).toBe(body.byteLength);
        expect(result.sha256).toBe(sha256Hex(body));
        const found = await store.getStream(`${root}long`);
        expect(found).toMatchObject({
          bytes: body.byteLength,
          etag: result.etag,
          contentType: 'application/x-long',
          metadata: { part: 'many' },
        });
        expect(found && (await sha256OfStream(found.stream))).toBe(result.sha256);
        const middle = { start: 8 * mebibyte - 2, end: 8 * mebibyte + 2 };
        const seam = await store.get(`${root}long`, { range: middle });
        expect(Buffer.from(seam?.body ?? []).equals(body.subarray(middle.start, middle.end))).toBe(true);
      }, 60_000);

      it('stores streams of exactly one and two parts, of one byte and of nothing', async () => {
        for (const bodyBytes of [0, 1, 8 * mebibyte, 16 * mebibyte]) {
          const body = Buffer.alloc(bodyBytes, 7);
          const result = await store.putStream(`${root}s${bodyBytes}`, chunksOf(body, 3 * mebibyte));
          expect(result).toMatchObject({ bytes: bodyBytes, sha256: sha256Hex(body) });
          expect(await store.head(`${root}s${bodyBytes}`)).toMatchObject({ bytes: bodyBytes, etag: result.etag });
        }
      }, 60_000);

      it('stops past maxBytes and leaves nothing, also when parts were sent already', async () => {
        const exact = await store.putStream(`${root}exact`, chunksOf(Buffer.alloc(1000), 100), { maxBytes: 1000 });
        expect(exact.bytes).toBe(1000);
        for (const maxBytes of [999, 18 * mebibyte]) {
          let isClosed = false;
          const endless = async function* (): AsyncGenerator<Uint8Array> {
            try {
              for (;;) yield Buffer.alloc(mebibyte);
            } finally {
              isClosed = true;
            }
          };
          const put = store.putStream(`${root}endless`, endless(), { maxBytes });
          await expect(put).rejects.toMatchObject({ code: 'input.too-large', details: { maxBytes } });
          expect(isClosed).toBe(true);
          expect(await keysUnder(store, `${root}endless`)).toEqual([]);
        }
      }, 60_000);

      it('passes on the error of the source and leaves nothing', async () => {
        const broken = new Error('the source broke');
        const source = async function* (): AsyncGenerator<Uint8Array> {
          yield Buffer.alloc(17 * mebibyte);
          throw broken;
        };
        await expect(store.putStream(`${root}broken`, source())).rejects.toBe(broken);
        expect(await store.head(`${root}broken`)).toBeUndefined();
      }, 60_000);

      it('does not keep chunks whose memory the source uses again', async () => {
        const source = async function* (): AsyncGenerator<Uint8Array> {
          const shared = Buffer.alloc(4);
          for (let index = 0; index < 5; index += 1) yield shared.fill(String(index));
        };
        await store.putStream(`${root}reused`, source());
        expect(textOf((await store.get(`${root}reused`))?.body)).toBe('00001111222233334444');
      });

      it('lets a reader leave early', async () => {
        await store.put(`${root}big`, Buffer.alloc(4 * mebibyte, 1));
        for (let turn = 0; turn < 8; turn += 1) {
          const found = await store.getStream(`${root}big`);
          for await (const chunk of found?.stream ?? Readable.from([])) {
            expect((chunk as Uint8Array)[0]).toBe(1);
            break;
          }
        }
        expect((await store.get(`${root}big`))?.bytes).toBe(4 * mebibyte);
      });
    });

    describe('create', () => {
      it('creates what is absent and leaves what is there', async () => {
        const first = await store.create(`${root}once`, bytesOf('first'), { metadata: { by: 'one' } });
        expect(first.created).toBe(true);
        expect(await store.create(`${root}once`, bytesOf('second'))).toEqual({ created: false });
        const found = await store.get(`${root}once`);
        expect(textOf(found?.body)).toBe('first');
        // the nonce stays the adapter's own
        expect(found?.metadata).toEqual({ by: 'one' });
        expect(first.created && first.etag).toBe(found?.etag);
      });

      it('creates again what was deleted', async () => {
        await store.create(`${root}once`, bytesOf('first'));
        await store.delete([`${root}once`]);
        expect((await store.create(`${root}once`, bytesOf('second'))).created).toBe(true);
      });

      it('lets exactly one of 30 racers win, and it is the one whose bytes are there', async () => {
        for (let round = 0; round < 5; round += 1) {
          const key = `${root}race-${round}`;
          const racers = Array.from({ length: 30 }, (_, index) => store.create(key, bytesOf(`racer ${index}`)));
          const winners = (await Promise.all(racers)).flatMap(({ created }, index) => (created ? [index] : []));
          expect(winners).toHaveLength(1);
          expect(textOf((await store.get(key))?.body)).toBe(`racer ${winners[0]}`);
        }
      }, 30_000);

      it('decides also between racers with equal bytes', async () => {
        const racers = Array.from({ length: 30 }, () => store.create(`${root}equal`, bytesOf('same')));
        expect((await Promise.all(racers)).filter(({ created }) => created)).toHaveLength(1);
      });
    });

    describe('swap', () => {
      it('replaces the object that has the etag and no other', async () => {
        const first = await store.put(`${root}cas`, bytesOf('one'));
        const second = await store.swap(`${root}cas`, bytesOf('two'), first.etag, { metadata: { step: '2' } });
        expect(second.swapped).toBe(true);
        expect(await store.swap(`${root}cas`, bytesOf('three'), first.etag)).toEqual({ swapped: false });
        const found = await store.get(`${root}cas`);
        expect(textOf(found?.body)).toBe('two');
        expect(found?.metadata).toEqual({ step: '2' });
        expect(second.swapped && second.etag).toBe(found?.etag);
      });

      it('loses against an absent object', async () => {
        const { etag } = await store.put(`${root}gone`, bytesOf('one'));
        await store.delete([`${root}gone`]);
        expect(await store.swap(`${root}gone`, bytesOf('two'), etag)).toEqual({ swapped: false });
        expect(await store.head(`${root}gone`)).toBeUndefined();
      });

      it('swaps by the etag of an object of several parts', async () => {
        const long = await store.putStream(`${root}parts`, chunksOf(Buffer.alloc(9 * mebibyte), mebibyte));
        expect((await store.swap(`${root}parts`, bytesOf('short'), long.etag)).swapped).toBe(true);
      }, 30_000);

      it('counts to 60 with 12 concurrent writers', async () => {
        const key = `${root}counter`;
        await store.put(key, bytesOf('0'));
        const increment = async (): Promise<void> => {
          for (;;) {
            const found = await store.get(key);
            const next = bytesOf(String(Number(textOf(found?.body)) + 1));
            if ((await store.swap(key, next, found?.etag ?? '')).swapped) return;
          }
        };
        const writer = async (): Promise<void> => {
          for (let turn = 0; turn < 5; turn += 1) await increment();
        };
        await Promise.all(Array.from({ length: 12 }, writer));
        expect(textOf((await store.get(key))?.body)).toBe('60');
      }, 60_000);
    });

    describe('list', () => {
      it('pages through more than 1,000 keys in order, each once', async () => {
        const keys = Array.from({ length: 1234 }, (_, index) => `${root}n/${String(index * 7).padStart(5, '0')}`);
        await inGroups(keys, (key) => store.put(key, bytesOf('x')));
        const first = await store.list(`${root}n/`);
        expect(first.objects).toHaveLength(1000);
        expect(first.next).toBe(keys[999]);
        const second = await store.list(`${root}n/`, { after: first.next ?? '' });
        expect(second.next).toBeNull();
        expect([...first.objects, ...second.objects].map(({ key }) => key)).toEqual(keys);
        expect(await keysUnder(store, root, { limit: 100 })).toEqual(keys);
      }, 60_000);

      it('tells length, etag and time of each object', async () => {
        const { etag } = await store.put(`${root}one`, bytesOf('12345'));
        const listing = await store.list(root);
        expect(listing).toMatchObject({ objects: [{ key: `${root}one`, bytes: 5, etag }], folders: [], next: null });
        const head = await store.head(`${root}one`);
        expect(Math.abs((listing.objects[0]?.lastModifiedMs ?? 0) - (head?.lastModifiedMs ?? 0))).toBeLessThan(1000);
      });

      it('is empty where nothing is', async () => {
        expect(await store.list(`${root}nothing/`)).toEqual({ objects: [], folders: [], next: null });
      });

      it('takes a prefix as text, not as a folder', async () => {
        for (const key of ['ab', 'abc', 'ab/c', 'b']) await store.put(root + key, bytesOf('x'));
        expect(await keysUnder(store, `${root}ab`)).toEqual([`${root}ab`, `${root}ab/c`, `${root}abc`]);
        expect(await keysUnder(store, `${root}ab/`)).toEqual([`${root}ab/c`]);
      });

      it('starts strictly after any key, present or not', async () => {
        for (const key of ['a', 'b', 'b/c', 'b0', 'd']) await store.put(root + key, bytesOf('x'));
        const keysAfter = async (text: string): Promise<readonly string[]> =>
          (await store.list(root, { after: root + text })).objects.map(({ key }) => key.slice(root.length));
        expect(await keysAfter('')).toEqual(['a', 'b', 'b/c', 'b0', 'd']);
        expect(await keysAfter('b')).toEqual(['b/c', 'b0', 'd']);
        expect(await keysAfter('b/')).toEqual(['b/c', 'b0', 'd']);
        expect(await keysAfter('b/c')).toEqual(['b0', 'd']);
        expect(await keysAfter('c')).toEqual(['d']);
        expect(await keysAfter('d')).toEqual([]);
      });

      it('sees every write at once', async () => {
        for (let index = 0; index < 10; index += 1) {
          await store.put(`${root}w${index}`, bytesOf('x'));
          expect((await store.list(root)).objects).toHaveLength(index + 1);
        }
        await store.delete([`${root}w3`]);
        expect((await store.list(root)).objects).toHaveLength(9);
      });

      it('groups keys into folders, between the objects', async () => {
        const keys = ['a', 'b/1', 'b/2', 'b/deep/3', 'b-', 'c', 'd/4', 'e/', 'f//5'];
        for (const key of keys) await store.put(root + key, bytesOf('x'));
        const listing = await store.list(root, { folders: true });
        expect(listing.objects.map(({ key }) => key.slice(root.length))).toEqual(['a', 'b-', 'c']);
        expect(listing.folders.map((key) => key.slice(root.length))).toEqual(['b/', 'd/', 'e/', 'f/']);
        const inner = await store.list(`${root}b/`, { folders: true });
        expect(inner.objects.map(({ key }) => key.slice(root.length))).toEqual(['b/1', 'b/2']);
        expect(inner.folders.map((key) => key.slice(root.length))).toEqual(['b/deep/']);
        const marker = await store.list(`${root}e/`, { folders: true });
        expect(marker.objects.map(({ key }) => key.slice(root.length))).toEqual(['e/']);
      });

      it('pages through folders and objects at every page length, each once', async () => {
        const keys = ['a', 'b/1', 'b/2', 'b-', 'c', 'd/4', 'd/5', 'd/6', 'e', 'f/1', 'f0'];
        for (const key of keys) await store.put(root + key, bytesOf('x'));
        const expected = ['a', 'b-', 'b/', 'c', 'd/', 'e', 'f/', 'f0'];
        for (let limit = 1; limit <= 9; limit += 1) {
          const found: string[] = [];
          let after: string | undefined;
          do {
            const page = await store.list(root, { folders: true, limit, ...(after === undefined ? {} : { after }) });
            expect(page.objects.length + page.folders.length).toBeLessThanOrEqual(limit);
            const entries = [...page.objects.map(({ key }) => key), ...page.folders].sort(compareKeys);
            found.push(...entries.map((key) => key.slice(root.length)));
            after = page.next ?? undefined;
          } while (after !== undefined);
          expect(found, `limit ${limit}`).toEqual(expected);
        }
      }, 60_000);

      it('lists many folders of many objects by one entry each', async () => {
        const folders = Array.from({ length: 120 }, (_, index) => `${root}u${String(index).padStart(6, '0')}/`);
        const keys = folders.flatMap((folder) => Array.from({ length: 10 }, (_, index) => `${folder}log/${index}`));
        await inGroups(keys, (key) => store.put(key, bytesOf('x')));
        const first = await store.list(root, { folders: true, limit: 100 });
        expect(first.folders).toEqual(folders.slice(0, 100));
        const second = await store.list(root, { folders: true, limit: 100, after: first.next ?? '' });
        expect(second.folders).toEqual(folders.slice(100));
        expect(second.next).toBeNull();
      }, 60_000);
    });

    describe('delete', () => {
      it('deletes what is there and takes what is not for deleted', async () => {
        await store.put(`${root}a`, bytesOf('x'));
        await store.delete([`${root}a`, `${root}never`]);
        expect(await store.get(`${root}a`)).toBeUndefined();
        await store.delete([`${root}a`]);
        await store.delete([]);
      });

      it('deletes more than 1,000 keys in one call', async () => {
        const keys = Array.from({ length: 1100 }, (_, index) => `${root}m/${index}`);
        await inGroups(keys, (key) => store.put(key, bytesOf('x')));
        await store.put(`${root}kept`, bytesOf('x'));
        await store.delete(keys);
        expect(await keysUnder(store, root)).toEqual([`${root}kept`]);
      }, 60_000);

      it('writes into a folder while it is being emptied', async () => {
        for (let round = 0; round < 20; round += 1) {
          const old = `${root}f/g/old-${round}`;
          const fresh = `${root}f/g/fresh-${round}`;
          await store.put(old, bytesOf('x'));
          await Promise.all([store.delete([old]), store.put(fresh, bytesOf('y'))]);
          expect(await store.head(fresh)).toBeDefined();
          await store.delete([fresh]);
        }
        expect(await keysUnder(store, root)).toEqual([]);
      });
    });
  });
}

async function keysUnder(store: ObjectStore, prefix: string, options: ListOptions = {}): Promise<string[]> {
  const keys: string[] = [];
  let after: string | null = '';
  while (after !== null) {
    const page = await store.list(prefix, { ...options, ...(after === '' ? {} : { after }) });
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
  }
  return keys;
}

async function inGroups(keys: readonly string[], work: (key: string) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < keys.length; start += 40) {
    await Promise.all(keys.slice(start, start + 40).map(work));
  }
}

async function* chunksOf(body: Buffer, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.byteLength; start += chunkBytes) yield body.subarray(start, start + chunkBytes);
}

async function sha256OfStream(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
