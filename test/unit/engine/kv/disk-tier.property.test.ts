import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { filesBelow, hexOf, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

const labels = [0, 1, 2, 3];
const digest = hexOf('digest');

const damage = fc.oneof(
  fc.record({ type: fc.constant('flip' as const), bit: fc.nat(8 * tinyFileBytes - 1) }),
  fc.record({ type: fc.constant('truncate' as const), bytes: fc.nat(tinyFileBytes - 1) }),
  fc.record({ type: fc.constant('append' as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) }),
  fc.record({
    type: fc.constant('overwrite' as const),
    at: fc.nat(tinyFileBytes),
    bytes: fc.uint8Array({ maxLength: 40 }),
  }),
  fc.record({ type: fc.constant('delete' as const) }),
  fc.record({ type: fc.constant('copy' as const), from: fc.constantFrom(...labels) }),
);
type Damage = typeof damage extends fc.Arbitrary<infer Value> ? Value : never;

/** The bytes after the damage; undefined for no file. */
function damaged(bytes: Buffer, change: Damage, others: readonly Buffer[]): Buffer | undefined {
  switch (change.type) {
    case 'flip':
      return Buffer.from(
        bytes.map((byte, index) => (index === change.bit >> 3 ? byte ^ (1 << (change.bit & 7)) : byte)),
      );
    case 'truncate':
      return bytes.subarray(0, change.bytes);
    case 'append':
      return Buffer.concat([bytes, change.bytes]);
    case 'overwrite':
      return Buffer.concat([
        bytes.subarray(0, change.at),
        change.bytes,
        bytes.subarray(change.at + change.bytes.length),
      ]);
    case 'delete':
      return undefined;
    case 'copy':
      return others[change.from];
  }
}

interface Change {
  readonly label: number;
  readonly change: Damage;
}

/** What the files of all pages are after the changes, one upon the other. */
function applyAll(changes: readonly Change[], originals: readonly Buffer[]): readonly (Buffer | undefined)[] {
  const files: (Buffer | undefined)[] = [...originals];
  for (const { label, change } of changes) {
    const bytes = files[label];
    if (bytes !== undefined) files[label] = damaged(bytes, change, originals);
  }
  return files;
}

async function checkDamage(folder: string, changes: readonly Change[], reopens: boolean): Promise<void> {
  const options = { folder, digest, ...tinyShape, budgetBytes: 16 * tinyFileBytes };
  const first = await openDiskTier(options);
  for (const label of labels) await first.save(hexOf(label), tinyPage(label));
  const paths = labels.map((label) => join(folder, digest, hexOf(label).slice(0, 2), `${hexOf(label)}.safetensors`));
  const originals = await Promise.all(paths.map((path) => readFile(path)));
  const files = applyAll(changes, originals);
  for (const [label, path] of paths.entries()) await put(path, files[label]);

  const tier = reopens ? await openDiskTier(options) : first;
  const isWhole = labels.map((label) => files[label]?.equals(originals[label] ?? Buffer.of()) === true);
  for (const label of labels) {
    expect(await tier.load(hexOf(label)), `page ${label}`).toEqual(isWhole[label] ? tinyPage(label) : undefined);
    expect(tier.has(hexOf(label))).toBe(isWhole[label]);
  }
  expect(tier.stats().corrupt).toBe(labels.filter((label) => files[label] !== undefined && !isWhole[label]).length);
  for (const label of labels) {
    await tier.save(hexOf(label), tinyPage(label));
    expect(await tier.load(hexOf(label))).toEqual(tinyPage(label));
  }
  await tier.close();
  expect(await filesBelow(folder)).toHaveLength(labels.length);
}

const put = (path: string, bytes: Buffer | undefined): Promise<void> =>
  bytes === undefined ? rm(path) : writeFile(path, bytes);

describe('disk tier against any damage', () => {
  it('gives exactly the page that was saved, or nothing, and takes the page again (K1)', async () => {
    const change = fc.record({ label: fc.constantFrom(...labels), change: damage });
    const plan = fc.array(change, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(plan, fc.boolean(), async (changes, reopens) => {
        const { path, remove } = await openTemporaryFolder('disk-damage');
        await checkDamage(path, changes, reopens).finally(remove);
      }),
      { numRuns: 25 },
    );
  });
});
