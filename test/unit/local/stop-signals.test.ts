import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStopSignals, type StopSignals } from '../../../src/local/stop-signals.ts';

let nowMs = 0;
let signals: StopSignals;

beforeEach(() => {
  nowMs = 1_000;
  signals = openStopSignals(() => nowMs);
});

afterEach(() => signals.close());

describe('openStopSignals', () => {
  it('asks to finish at the first signal and to end at the second', () => {
    expect(signals.stop.aborted).toBe(false);
    process.emit('SIGTERM');
    expect([signals.stop.aborted, signals.force.aborted]).toEqual([true, false]);
    nowMs += 200;
    process.emit('SIGINT');
    expect(signals.force.aborted).toBe(true);
  });

  it('takes an echo of the first signal for what it is', () => {
    process.emit('SIGINT');
    nowMs += 199;
    process.emit('SIGINT');
    expect(signals.force.aborted).toBe(false);
  });

  it('gives the signals back', () => {
    const before = process.listenerCount('SIGHUP');
    signals.close();
    expect(process.listenerCount('SIGHUP')).toBe(before - 1);
  });
});
