import { describe, expect, it } from 'vitest';
import { TransferRate } from '../../../workers/compose/transfer-rate.ts';

function open() {
  const time = { ms: 0 };
  return { time, rate: new TransferRate(() => time.ms) };
}

describe('TransferRate', () => {
  it('knows nothing before the first transfer has ended', () => {
    const { time, rate } = open();
    rate.begin();
    time.ms = 10;
    expect(rate.bytesPerSecond).toBeNull();
    rate.end(1_000);
    expect(rate.bytesPerSecond).toBe(100_000);
  });

  it('counts time once for transfers that overlap, and no time between them', () => {
    const { time, rate } = open();
    for (let page = 0; page < 4; page++) rate.begin();
    time.ms = 100;
    for (let page = 0; page < 4; page++) rate.end(1_000);
    const overlapping = rate.bytesPerSecond ?? 0;
    // one at a time would have been 10,000
    expect(overlapping).toBeGreaterThan(30_000);
    time.ms = 10_000;
    rate.begin();
    time.ms = 10_025;
    rate.end(1_000);
    expect(rate.bytesPerSecond).toBeGreaterThan(overlapping * 0.9);
  });

  it('does not count transfers that brought nothing', () => {
    const { time, rate } = open();
    rate.begin();
    time.ms = 5_000;
    rate.end(0);
    expect(rate.bytesPerSecond).toBeNull();
    rate.begin();
    time.ms = 5_010;
    rate.end(1_000);
    expect(rate.bytesPerSecond).toBe(100_000);
  });
});
