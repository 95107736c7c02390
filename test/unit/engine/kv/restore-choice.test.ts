import { describe, expect, it } from 'vitest';
import { RestoreChoice } from '../../../../src/engine/kv/restore-choice.ts';

const megabyte = 1_000_000;

function open() {
  const time = { ms: 0 };
  return { time, choice: new RestoreChoice(megabyte, () => time.ms) };
}

describe('RestoreChoice', () => {
  it('reads while one of the rates is not known', () => {
    const { choice } = open();
    expect(choice.prefersReading).toBe(true);
    choice.noteBandwidth(1);
    expect(choice.prefersReading).toBe(true);
    expect(choice.rates()).toEqual({ bytesPerSecond: 1, prefillTokensPerSecond: null });
    const other = open().choice;
    other.notePrefill(256, 1);
    expect(other.prefersReading).toBe(true);
  });

  it.each([
    // a page is computed in one second
    [256, 1.01 * megabyte, true],
    [256, 0.99 * megabyte, false],
    // and in a tenth of one
    [2_560, 10.1 * megabyte, true],
    [2_560, 9.9 * megabyte, false],
  ])('at %d tokens/s computed and %d bytes/s read, reading is better: %s', (tokens, bytes, isBetter) => {
    const { choice } = open();
    choice.notePrefill(tokens, 1_000);
    choice.noteBandwidth(bytes);
    expect(choice.prefersReading).toBe(isBetter);
  });

  it('forgets the bandwidth of a minute ago, and so tries again', () => {
    const { time, choice } = open();
    choice.notePrefill(256, 1_000);
    choice.noteBandwidth(1);
    time.ms = 59_999;
    expect(choice.prefersReading).toBe(false);
    time.ms = 60_000;
    expect(choice.prefersReading).toBe(true);
    expect(choice.rates().bytesPerSecond).toBeNull();
  });

  it('follows the newest chunks of prefill', () => {
    const { choice } = open();
    for (let chunk = 0; chunk < 100; chunk++) choice.notePrefill(256, 100);
    expect(choice.rates().prefillTokensPerSecond).toBeCloseTo(2_560);
    for (let chunk = 0; chunk < 100; chunk++) choice.notePrefill(256, 1_000);
    expect(choice.rates().prefillTokensPerSecond).toBeGreaterThan(255);
    expect(choice.rates().prefillTokensPerSecond).toBeLessThan(280);
  });
});
