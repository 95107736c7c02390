import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';

const bytesOf = (text: string): Uint8Array => Buffer.from(text);

describe('CountingObjectStore', () => {
  it('counts calls and bytes in both directions', async () => {
    const store = new CountingObjectStore(new MemoryObjectStore());
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield bytesOf('123');
      yield bytesOf('45');
    };
    await store.put('a', bytesOf('12345678'));
    await store.putStream('b', source());
    await store.create('c', bytesOf('1'));
    const found = await store.getStream('b');
    expect(found && (await buffer(found.stream)).toString()).toBe('12345');
    await store.get('a', { range: { start: 0, end: 4 } });
    await store.list('');
    expect(store.counts).toEqual({
      calls: 6,
      putBytes: 14,
      gotBytes: 9,
      byOperation: { put: 1, putStream: 1, create: 1, getStream: 1, get: 1, list: 1 },
    });
    store.reset();
    expect(store.counts).toEqual({ calls: 0, putBytes: 0, gotBytes: 0, byOperation: {} });
  });

  it('fails before or after the store has done its work, as planned', async () => {
    const inner = new MemoryObjectStore();
    const store = new CountingObjectStore(inner, ({ key }) => (key === 'lost' ? 'after' : 'before'));
    await expect(store.create('never', bytesOf('x'))).rejects.toMatchObject({ code: 'transient.store-error' });
    expect(await inner.head('never')).toBeUndefined();
    await expect(store.create('lost', bytesOf('x'))).rejects.toMatchObject({ code: 'transient.store-error' });
    expect(await inner.head('lost')).toBeDefined();
  });
});
