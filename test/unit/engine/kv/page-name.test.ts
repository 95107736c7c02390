import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { namePages, PageChain } from '../../../../src/engine/kv/page-name.ts';

const digest = 'd'.repeat(64);
const idsOf = (total: number, first = 0): number[] => Array.from({ length: total }, (_, index) => first + index);

describe('namePages', () => {
  it('tells blocks of a prompt that has bits of its own from others, and those behind them by their parents', () => {
    const names = (promptRows: number) => {
      const chain = new PageChain(digest, 'acme', promptRows);
      for (const id of idsOf(768)) chain.push(id);
      return chain.names;
    };
    expect(names(0)).toEqual(namePages(idsOf(768), 768, digest, 'acme'));
    expect(names(512).slice(0, 2)).toEqual(names(768).slice(0, 2));
    expect(new Set([...names(0), ...names(512), ...names(768)]).size).toBe(7);
  });

  it('hashes framed parts: framing name, digest, tenant, parent, 256 ids', () => {
    const part = (bytes: Buffer): Buffer => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const block = (start: number): Buffer => Buffer.from(Uint32Array.from(idsOf(256, start)).buffer);
    const name = (parent: string, ids: Buffer): string =>
      createHash('sha256')
        .update(part(Buffer.from('quire-page-1')))
        .update(part(Buffer.from(digest)))
        .update(part(Buffer.from('acme', 'utf16le')))
        .update(part(Buffer.from(parent)))
        .update(ids)
        .digest('hex');
    const first = name('', block(0));
    expect(namePages(idsOf(512), 512, digest, 'acme')).toEqual([first, name(first, block(256))]);
  });

  it('keeps its names for ever: pages in tiers are found by them', () => {
    expect(namePages(idsOf(256), 256, digest, 'acme')).toEqual([
      '7bec02ddf1d46b9b83a0d31b630d79bd5431d2536c9cb3925b8dfe21c592b05b',
    ]);
  });

  it.each([
    [0, 0],
    [255, 0],
    [256, 1],
    [257, 1],
    [511, 1],
    [512, 2],
  ])('names the full blocks of %i rows only (N3)', (rows, blocks) => {
    expect(namePages(idsOf(600), rows, digest, 'acme')).toHaveLength(blocks);
  });

  it('does not look behind a block (N2)', () => {
    const long = namePages(idsOf(1024), 1024, digest, 'acme');
    expect(namePages(idsOf(700), 700, digest, 'acme')).toEqual(long.slice(0, 2));
    expect(namePages([...idsOf(512), ...idsOf(512, 9000)], 1024, digest, 'acme').slice(0, 2)).toEqual(long.slice(0, 2));
  });

  it('changes every later name with one token, with the digest and with the tenant (N1)', () => {
    const ids = idsOf(768);
    const changed = ids.with(3, 70_000);
    const all = [
      ...namePages(ids, 768, digest, 'acme'),
      ...namePages(changed, 768, digest, 'acme'),
      ...namePages(ids, 768, 'e'.repeat(64), 'acme'),
      ...namePages(ids, 768, digest, 'acme2'),
      ...namePages(ids, 768, digest, ''),
      ...namePages(ids, 768, digest, '\ud800'),
      ...namePages(ids, 768, digest, '\ud801'),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it('does not let one part run into the next (N1)', () => {
    const [ab] = namePages(idsOf(256), 256, 'ab', 'c');
    const [a] = namePages(idsOf(256), 256, 'a', 'bc');
    expect(ab).not.toBe(a);
  });

  it('takes ids of any array kind', () => {
    const ids = idsOf(512, 150_000);
    expect(namePages(Uint32Array.from(ids), 512, digest, 'acme')).toEqual(namePages(ids, 512, digest, 'acme'));
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY])('rejects the token id %d', (id) => {
    expect(() => namePages([...idsOf(255), id], 256, digest, 'acme')).toThrow(
      expect.objectContaining({ code: 'bug.invariant', message: expect.stringContaining(`token id ${id}`) }),
    );
  });

  it('takes the largest id', () => {
    expect(namePages([...idsOf(255), 2 ** 32 - 1], 256, digest, 'acme')).toHaveLength(1);
  });

  it('rejects more rows than ids', () => {
    expect(() => namePages(idsOf(10), 11, digest, 'acme')).toThrow(expect.objectContaining({ code: 'bug.invariant' }));
  });
});

describe('PageChain', () => {
  it('gives a name with the token that fills a block, and the names namePages gives', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200_000), { minLength: 0, maxLength: 900 }), fc.nat(3), (ids, before) => {
        const whole = namePages(ids, ids.length, digest, 'acme');
        const kept = whole.slice(0, before);
        const chain = new PageChain(digest, 'acme', 0, kept);
        const given: string[] = [...kept];
        for (const id of ids.slice(kept.length * 256)) {
          const name = chain.push(id);
          expect(name !== undefined).toBe(chain.rows % 256 === 0);
          if (name !== undefined) given.push(name);
        }
        expect(given).toEqual(whole);
        expect(chain.names).toEqual(whole);
        expect(chain.rows).toBe(ids.length);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves the names it was given alone', () => {
    const before = namePages(idsOf(256), 256, digest, 'acme');
    const chain = new PageChain(digest, 'acme', 0, before);
    for (const id of idsOf(256, 256)) chain.push(id);
    expect(before).toHaveLength(1);
    expect(chain.names).toHaveLength(2);
  });
});
