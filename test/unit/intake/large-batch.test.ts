import { describe, expect, it } from 'vitest';
import { maxFencedBytes } from '../../../src/intake/fenced-outputs.ts';
import { batchIdOf, IntakeWorld } from './intake-world.ts';

const key = 'inbox/large/batch.jsonl';
const lineTotal = 4_000;
const customIdOf = (index: number): string => `${index}-${'x'.repeat(480)}`;

describe('a batch of more results than one write takes', () => {
  it('is published while it runs and at its end, in streams', { timeout: 60_000 }, async () => {
    const world = new IntakeWorld();
    world.limits.maxLines = lineTotal;
    const intake = world.startIntake(world.store, { ...world.rules, maxFileBytes: 1 << 26 });
    const body = { model: 'quire-nano', messages: [{ role: 'user', content: 'Hello' }] };
    const lines = Array.from({ length: lineTotal }, (_, index) =>
      JSON.stringify({ custom_id: customIdOf(index), method: 'POST', url: '/v1/chat/completions', body }),
    );
    const etag = await world.drop(key, lines.join('\n'));
    await world.drop(`${key}.ready`, '');
    await world.pass(intake, 1);
    await world.janitor.sweep();
    await world.runUnits(batchIdOf(key, etag), lineTotal - 10);
    await world.pass(intake, 8);
    const partial = await world.outboxOf(key);
    expect(partial.manifest).toBeUndefined();
    expect(partial.results).toHaveLength(lineTotal - 10);
    await world.finish(intake);
    const { results, manifest, receipt } = await world.outboxOf(key);
    expect((await world.store.head('outbox/large/batch.jsonl/results.jsonl'))?.bytes).toBeGreaterThan(maxFencedBytes);
    expect(results?.map((line) => line.custom_id)).toEqual(lines.map((_, index) => customIdOf(index)));
    expect(receipt?.custom_ids).toHaveLength(lineTotal);
    expect(manifest?.totals).toMatchObject({ lines: lineTotal, completed: lineTotal, failed: 0 });
  });
});
