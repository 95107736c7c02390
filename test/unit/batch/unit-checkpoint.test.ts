import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAppError } from '../../../src/base/errors.ts';
import { sha256Hex } from '../../../src/base/hash.ts';
import { decodeCheckpoint, encodeCheckpoint, maxCheckpointBytes } from '../../../src/batch/unit-checkpoint.ts';
import { sampleLines } from '../../support/sample-checkpoints.ts';

const unit = { batchId: 'batch_a', unitId: 'u000000' };
const checkpoint = { version: 1, batch_id: 'batch_a', unit_id: 'u000000', epoch: 2, lines: sampleLines } as const;
const { name, body } = encodeCheckpoint(checkpoint);

/** As a forger or another program would write it: the digest is right, whatever the bytes. */
const decodeNamed = (bytes: Uint8Array) => decodeCheckpoint(bytes, 'key', { ...unit, sha256: sha256Hex(bytes) });
const decodeText = (text: string) => decodeNamed(Buffer.from(text));

describe('a checkpoint of a unit', () => {
  it('comes back as it was written', () => {
    expect(decodeCheckpoint(body, 'key', { ...unit, sha256: name.sha256 })).toEqual(checkpoint);
    // 2 running, 40 of the ended one, 64 of its repair
    expect(name.tokens).toBe(106);
  });

  const fixtures = new URL('../../fixtures/checkpoints/v1/', import.meta.url);
  const stored = readdirSync(fixtures).filter((file) => file.endsWith('.checkpoint'));

  it.each(stored)('of version 1 is read for ever: %s', (file) => {
    const bytes = readFileSync(new URL(file, fixtures));
    const sha256 = file.replace('.checkpoint', '');
    expect(decodeCheckpoint(bytes, file, { ...unit, sha256 })).toEqual(checkpoint);
  });

  it('has a fixture of every version', () => {
    expect(stored.length).toBeGreaterThan(0);
  });

  it('rejects every truncation', () => {
    for (let end = 0; end < body.byteLength; end += 5) {
      const cut = body.subarray(0, end);
      expect(() => decodeCheckpoint(cut, 'key', { ...unit, sha256: name.sha256 })).toThrow('digest');
      // also where somebody names the truncated bytes
      expect(() => decodeNamed(cut)).toThrow(expect.objectContaining({ family: 'corrupt' }));
    }
  });

  it('rejects every flipped bit', () => {
    for (let bit = 0; bit < body.byteLength * 8; bit += 31) {
      const flipped = Buffer.from(body);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeCheckpoint(flipped, 'key', { ...unit, sha256: name.sha256 })).toThrow(
        expect.objectContaining({ code: 'corrupt.checksum', details: { key: 'key' } }),
      );
    }
  });

  it('rejects other versions by name', () => {
    for (const version of [0, 2, '1', null]) {
      expect(() => decodeText(JSON.stringify({ ...checkpoint, version }))).toThrow(
        expect.objectContaining({ code: 'corrupt.version' }),
      );
    }
  });

  it('rejects one that is too large before it looks at it', () => {
    const bytes = new Uint8Array(maxCheckpointBytes + 1);
    expect(() => decodeCheckpoint(bytes, 'key', { ...unit, sha256: '0'.repeat(64) })).toThrow(
      `checkpoint has ${maxCheckpointBytes + 1} bytes, allowed: ${maxCheckpointBytes}`,
    );
  });

  it('rejects one of another unit, with every digest right', () => {
    expect(() => decodeText(JSON.stringify({ ...checkpoint, unit_id: 'u000001' }))).toThrow(
      'checkpoint is of unit u000001 of batch_a, not u000000 of batch_a',
    );
  });

  it('rejects whatever else is wrong in any field, and never fails in another way', () => {
    const json = JSON.parse(Buffer.from(body).toString('utf8'));
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(null, -1, 0.5, 'x', [], {}, true), (seed, value) => {
        const broken = structuredClone(json);
        const at = pickPlace(broken, seed);
        if (JSON.stringify(at.holder[at.field]) === JSON.stringify(value)) return;
        at.holder[at.field] = value;
        try {
          // what is still a checkpoint differs in the field alone
          expect(JSON.stringify(decodeText(JSON.stringify(broken)))).toBe(JSON.stringify(broken));
        } catch (error) {
          if (!isAppError(error) || error.family !== 'corrupt') throw error;
        }
      }),
    );
  });

  it.each([
    ['a token that is no number', '"tokenIds":[100', '"tokenIds":["x"'],
    ['a negative token', '"tokenIds":[100', '"tokenIds":[-1'],
    ['a negative count of draws', '"draws":2', '"draws":-2'],
    ['a byte beyond 255', '"bytes":[195]', '"bytes":[300]'],
    ['a state of no known type', '"type":"ended"', '"type":"paused"'],
    ['an epoch of no claim', '"epoch":2', '"epoch":0'],
  ])('rejects %s', (_what, from, to) => {
    const text = Buffer.from(body).toString('utf8');
    expect(text).toContain(from);
    expect(() => decodeText(text.replace(from, to))).toThrow(expect.objectContaining({ code: 'corrupt.record' }));
  });
});

interface Place {
  readonly holder: Record<string, unknown>;
  readonly field: string;
}

/** Any field of any object in the value. */
function pickPlace(value: unknown, seed: number): Place {
  const places: Place[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const field of Object.keys(node)) {
      places.push({ holder: node as Record<string, unknown>, field });
      visit((node as Record<string, unknown>)[field]);
    }
  };
  visit(value);
  const place = places[seed % places.length];
  if (place === undefined) throw new Error('no field');
  return place;
}
