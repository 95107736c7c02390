import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { registerEngineMetrics } from '../../../src/api/engine-metrics.ts';
import { AppError } from '../../../src/base/errors.ts';
import type { EngineStats, TierStats } from '../../../src/engine/index.ts';
import { FakeBus } from '../../support/fake-queue.ts';

const tier = (more: Partial<TierStats> = {}): TierStats => ({
  pages: 3,
  bytes: 300,
  budgetBytes: 1_000,
  hits: 11,
  misses: 7,
  writes: 5,
  evictions: 2,
  corrupt: 1,
  ...more,
});

const stats: EngineStats = {
  waiting: 4,
  running: 2,
  blocks: { total: 10, free: 5, cached: 3, held: 2, blockBytes: 4_096 },
  tiers: { memory: tier(), disk: tier({ pages: 40 }), remote: null },
  restore: { bytesPerSecond: 5_000_000, prefillTokensPerSecond: 900.5, declined: 6 },
  prefillTokens: 900,
  cachedTokens: 800,
  decodeTokens: 70,
  draftedTokens: 40,
  acceptedTokens: 30,
  runs: 33,
  runMs: 1_500,
  overheadMs: 250,
  preemptions: 1,
  cancellations: 2,
  checkpoints: 9,
};

async function scrape(bus: FakeBus): Promise<string[]> {
  const registry = new Registry();
  registerEngineMetrics(registry, bus);
  return (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('engine metrics', () => {
  it('show what the lines of a worker went through', async () => {
    const bus = new FakeBus();
    await bus.saveEngineStats('w', {
      ...stats,
      resumes: { exact: 3, tokens: 1, wastedTokens: 70, lostCheckpoints: 2 },
    });
    const lines = await scrape(bus);
    for (const line of [
      'quire_lines_resumed_total{worker="w",how="exact"} 3',
      'quire_lines_resumed_total{worker="w",how="tokens"} 1',
      'quire_tokens_wasted_total{worker="w"} 70',
      'quire_checkpoints_lost_total{worker="w"} 2',
    ]) {
      expect(lines).toContain(line);
    }
  });

  it('show every figure with its worker', async () => {
    const bus = new FakeBus();
    await bus.saveEngineStats('host/1', stats);
    const worker = 'worker="host/1"';
    expect((await scrape(bus)).toSorted()).toEqual(
      [
        `quire_engine_requests{${worker},state="waiting"} 4`,
        `quire_engine_requests{${worker},state="running"} 2`,
        `quire_engine_blocks{${worker},state="free"} 5`,
        `quire_engine_blocks{${worker},state="cached"} 3`,
        `quire_engine_blocks{${worker},state="held"} 2`,
        `quire_engine_block_bytes{${worker}} 4096`,
        ...['memory', 'disk'].flatMap((name) => [
          `quire_engine_tier_pages{${worker},tier="${name}"} ${name === 'disk' ? 40 : 3}`,
          `quire_engine_tier_bytes{${worker},tier="${name}"} 300`,
          `quire_engine_tier_budget_bytes{${worker},tier="${name}"} 1000`,
          `quire_engine_tier_operations_total{${worker},tier="${name}",kind="hits"} 11`,
          `quire_engine_tier_operations_total{${worker},tier="${name}",kind="misses"} 7`,
          `quire_engine_tier_operations_total{${worker},tier="${name}",kind="writes"} 5`,
          `quire_engine_tier_operations_total{${worker},tier="${name}",kind="evictions"} 2`,
          `quire_engine_tier_operations_total{${worker},tier="${name}",kind="corrupt"} 1`,
        ]),
        `quire_engine_restore_rate{${worker},unit="bytes"} 5000000`,
        `quire_engine_restore_rate{${worker},unit="tokens"} 900.5`,
        `quire_engine_pages_declined_total{${worker}} 6`,
        `quire_engine_tokens_total{${worker},kind="prefill"} 900`,
        `quire_engine_tokens_total{${worker},kind="cached"} 800`,
        `quire_engine_tokens_total{${worker},kind="decode"} 70`,
        `quire_engine_draft_tokens_total{${worker},kind="drafted"} 40`,
        `quire_engine_draft_tokens_total{${worker},kind="accepted"} 30`,
        `quire_engine_seconds_total{${worker},kind="run"} 1.5`,
        `quire_engine_seconds_total{${worker},kind="overhead"} 0.25`,
        `quire_engine_runs_total{${worker}} 33`,
        `quire_engine_preemptions_total{${worker}} 1`,
        `quire_engine_cancellations_total{${worker}} 2`,
        `quire_engine_checkpoints_total{${worker}} 9`,
      ].toSorted(),
    );
  });

  it('leave out what is not known, and what there is none of', async () => {
    const bus = new FakeBus();
    const restore = { bytesPerSecond: null, prefillTokensPerSecond: 900, declined: 0 };
    await bus.saveEngineStats('host/1', { ...stats, restore });
    await bus.saveEngineStats('host/2', { ...stats, restore: null });
    expect((await scrape(bus)).filter((line) => /restore|declined/.test(line))).toEqual([
      'quire_engine_restore_rate{worker="host/1",unit="tokens"} 900',
      'quire_engine_pages_declined_total{worker="host/1"} 0',
    ]);
  });

  it('are read once a scrape, anew each time: a worker that is gone has no series', async () => {
    const bus = new FakeBus();
    let reads = 0;
    const readOnce = bus.readEngineStats.bind(bus);
    bus.readEngineStats = () => {
      reads += 1;
      return readOnce();
    };
    const registry = new Registry();
    registerEngineMetrics(registry, bus);
    await bus.saveEngineStats('host/1', stats);
    await bus.saveEngineStats('host/2', { ...stats, runs: 5 });
    expect(await registry.metrics()).toContain('quire_engine_runs_total{worker="host/2"} 5');
    expect(reads).toBe(1);
    bus.engines.delete('host/2');
    await bus.saveEngineStats('host/1', { ...stats, runs: 30 });
    const later = await registry.metrics();
    expect(reads).toBe(2);
    // a counter of a new engine process is lower than that of the last
    expect(later).toContain('quire_engine_runs_total{worker="host/1"} 30');
    expect(later).not.toContain('host/2');
  });

  it('leave out what a worker of another version does not say', async () => {
    const bus = new FakeBus();
    await bus.saveEngineStats('host/1', { running: 2, blocks: null, tiers: { memory: {} }, runs: 'many' });
    expect(await scrape(bus)).toEqual(['quire_engine_requests{worker="host/1",state="running"} 2']);
  });

  it('are absent while redis is away', async () => {
    const bus = new FakeBus();
    bus.readEngineStats = () => Promise.reject(new AppError('transient.queue-unreachable', 'away'));
    expect(await scrape(bus)).toEqual([]);
  });
});
