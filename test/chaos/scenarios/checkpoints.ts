import { sha256Hex } from '../../../src/base/hash.ts';
import { keys } from '../../../src/storage/index.ts';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { runThrough } from '../harness/run-through.ts';
import { onStack, requireRecovery, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';

const tenant = 'default';
const unitId = 'u000000';

interface StoredEntry {
  readonly type: string;
  readonly checkpoint?: { readonly sha256: string; readonly tokens: number };
}

/** The slots of the unit's log that name a checkpoint, the newest last. */
async function findNaming(chaos: ChaosStack, batchId: string): Promise<readonly { key: string; entry: StoredEntry }[]> {
  const found: { key: string; entry: StoredEntry }[] = [];
  for (let slot = 0; ; slot++) {
    const key = keys.unitSlot(tenant, batchId, unitId, slot);
    const object = await chaos.store.get(key);
    if (object === undefined) return found;
    const entry = JSON.parse(Buffer.from(object.body).toString()) as StoredEntry;
    if (entry.checkpoint !== undefined) found.push({ key, entry });
  }
}

/** Puts other bytes in the place of the newest checkpoint and names them in the log, as another program might have. */
async function replaceCheckpoint(
  chaos: ChaosStack,
  batchId: string,
  change: (body: Record<string, unknown>) => unknown,
): Promise<void> {
  const last = (await findNaming(chaos, batchId)).at(-1);
  if (last?.entry.checkpoint === undefined) throw new Error('no checkpoint to replace');
  const prefix = keys.unitBlobs(tenant, batchId, unitId);
  const object = await chaos.store.get(`${prefix}${last.entry.checkpoint.sha256}`);
  const body = JSON.parse(Buffer.from(object?.body ?? []).toString()) as Record<string, unknown>;
  const bytes = Buffer.from(JSON.stringify(change(body)));
  const sha256 = sha256Hex(bytes);
  await chaos.store.put(`${prefix}${sha256}`, bytes);
  const entry = { ...last.entry, checkpoint: { ...last.entry.checkpoint, sha256 } };
  await chaos.store.put(last.key, Buffer.from(JSON.stringify(entry)));
}

/** A worker dies after its first checkpoint, and the next one finds the checkpoint changed. */
function resumedFrom(change: (body: Record<string, unknown>) => unknown): Scenario['run'] {
  return ({ lines }) =>
    onStack({}, async (chaos) => {
      const outcome = await runThrough(chaos, {
        lines: lines ?? 6,
        tokens: 1_000,
        when: 'submitted',
        harm: async ({ id }) => {
          await until('checkpoint', async () => (await findNaming(chaos, id)).length > 0);
          process.kill(chaos.pidOf('analysis'), 'SIGSTOP');
          await replaceCheckpoint(chaos, id, change);
          await chaos.killAndAwaitNext('analysis');
        },
        deadlineMs: 600_000,
      });
      return requireRecovery(outcome);
    });
}

/** What a worker finds of the one before it. */
export const checkpointScenarios: readonly Scenario[] = [
  {
    name: 'old_checkpoint_schema',
    about: 'the checkpoint is of a version that this program does not know: its lines are answered from the start',
    run: resumedFrom((body) => ({ ...body, version: 0 })),
  },
  {
    name: 'damaged_checkpoint',
    about: 'the checkpoint is none: its lines are answered from the start',
    run: resumedFrom(() => ({ version: 1, lines: 'gone' })),
  },
];
