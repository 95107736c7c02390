import { afterEach, describe, expect, it, vi } from 'vitest';
import type { EngineStats } from '../../../src/engine/index.ts';
import { reportEngine } from '../../../workers/compose/report-engine.ts';
import { FakeBus } from '../../support/fake-queue.ts';

afterEach(() => {
  vi.useRealTimers();
});

describe('reportEngine', () => {
  it('repeats what the engine says, is silent while there is none, and ends when told', async () => {
    vi.useFakeTimers();
    const bus = new FakeBus();
    const save = vi.spyOn(bus, 'saveEngineStats');
    let stats: EngineStats | null = null;
    const report = reportEngine(bus, 'host/1', () => stats);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(save).not.toHaveBeenCalled();
    stats = { running: 1 } as EngineStats;
    await vi.advanceTimersByTimeAsync(4_000);
    expect(save.mock.calls).toEqual([
      ['host/1', { running: 1 }],
      ['host/1', { running: 1 }],
    ]);
    report.stop();
    await vi.advanceTimersByTimeAsync(4_000);
    expect(save).toHaveBeenCalledTimes(2);
  });
});
