import { describe, expect, it } from 'vitest';
import { tryWithin } from '../../../../src/engine/structured/guarded-pattern.ts';

/** A machine on which each try gets so much of the processor before the clock stops it. */
function busyMachine(shares: readonly number[]) {
  let [cpuMs, tries] = [0, 0];
  const run = (timeoutMs: number): string => {
    const share = shares[tries++] ?? 1;
    cpuMs += timeoutMs * share;
    if (share < 2) throw Object.assign(new Error('timed out'), { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' });
    return 'ended';
  };
  return { run, readCpuMs: () => cpuMs, tries: () => tries };
}

describe('tryWithin', () => {
  it('gives up what had the processor for its time', () => {
    const { run, readCpuMs, tries } = busyMachine([1]);
    expect(tryWithin(run, 100, readCpuMs)).toBeUndefined();
    expect(tries()).toBe(1);
  });

  it('tries again what was stopped while others had the processor', () => {
    const { run, readCpuMs, tries } = busyMachine([0.2, 0.1, 2]);
    expect(tryWithin(run, 100, readCpuMs)).toBe('ended');
    expect(tries()).toBe(3);
  });

  it('does not try for ever, and passes on any other error', () => {
    const { run, readCpuMs, tries } = busyMachine(Array.from({ length: 99 }, () => 0.001));
    expect(tryWithin(run, 100, readCpuMs)).toBeUndefined();
    expect(tries()).toBe(10);
    expect(() =>
      tryWithin(() => {
        throw new Error('other');
      }, 100),
    ).toThrowError('other');
  });
});
