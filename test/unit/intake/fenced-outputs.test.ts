import { describe, expect, it } from 'vitest';
import { dropOf } from '../../../src/intake/drop.ts';
import { DropLedger } from '../../../src/intake/drop-ledger.ts';
import { FencedOutputs } from '../../../src/intake/fenced-outputs.ts';
import { fileOf, tenant } from '../batch/batch-world.ts';
import { IntakeWorld } from './intake-world.ts';

const key = 'inbox/a/x.md';
const output = 'outbox/a/x.md/results.jsonl';
const type = 'application/jsonl';

async function openVersions() {
  const world = new IntakeWorld();
  const ledger = new DropLedger(world.store, tenant);
  const [old, fresh] = [dropOf(key, 'old'), dropOf(key, 'new')];
  const name = async (etag: string): Promise<void> => {
    const before = await ledger.findRecord(key);
    const more = {
      size: 1,
      state: 'claimed',
      reason: null,
      judged_by: '',
      cleared: true,
      ready_ms: null,
      at_ms: 0,
    } as const;
    await ledger.saveRecord({ version: 1, key, etag, ...more }, before);
  };
  await name('old');
  const open = (drop: typeof old) => new FencedOutputs(world.store, ledger, drop);
  return { world, ledger, old, fresh, name, before: open(old), after: open(fresh) };
}

describe('outputs of a version that was replaced', () => {
  it('are refused before the newer one wrote anything', async () => {
    const { before, name } = await openVersions();
    await before.write(output, Buffer.from('1'), type);
    await name('new');
    await expect(before.write(output, Buffer.from('2'), type)).rejects.toMatchObject({ code: 'ownership.lost' });
    await expect(before.writeStream(output, fileOf('2'), type)).rejects.toMatchObject({ code: 'ownership.lost' });
    await expect(before.remove([output])).rejects.toMatchObject({ code: 'ownership.lost' });
  });

  it('are refused by the store when it was replaced between look and write', async () => {
    const { world, ledger, name, old, after } = await openVersions();
    const slow = world.watchStore();
    const before = new FencedOutputs(slow, ledger, old);
    await before.write(output, Buffer.from('1'), type);
    slow.beforeWrite = async () => {
      await name('new');
      await after.write(output, Buffer.from('newer'), type);
    };
    await expect(before.write(output, Buffer.from('2'), type)).rejects.toMatchObject({ code: 'ownership.lost' });
    expect(await world.readText(output)).toBe('newer');
  });

  it('are written over once more when they were streamed', async () => {
    const { world, ledger, name, old, fresh, after } = await openVersions();
    const slow = world.watchStore();
    const before = new FencedOutputs(slow, ledger, old);
    slow.beforeWrite = async () => {
      await name('new');
      await after.writeStream(output, fileOf('newer'), type);
    };
    await expect(before.writeStream(output, fileOf('2'), type)).rejects.toMatchObject({ code: 'ownership.lost' });
    // the newer version is open again: whoever tends it publishes it again
    expect(await ledger.findMarker(fresh.id)).toMatchObject({ key, etag: 'new' });
  });
});
