import { describe, expect, it } from 'vitest';
import { Bell } from '../../../src/api/stream/bell.ts';
import { HandClock } from '../../support/hand-clock.ts';

const never = new AbortController().signal;

describe('Bell', () => {
  it('wakes who waits, and keeps a ring for who comes later', async () => {
    const clock = new HandClock();
    const bell = new Bell(clock, never);
    const waiting = bell.wait(100);
    bell.ring();
    bell.ring();
    expect(await waiting).toBe(true);
    bell.ring();
    expect(await bell.wait(100)).toBe(true);
    expect(clock.sleepingUpTo(100)).toBe(0);
  });

  it('tells when it did not ring in time', async () => {
    const clock = new HandClock();
    const bell = new Bell(clock, never);
    const waiting = bell.wait(100);
    clock.advance(100);
    expect(await waiting).toBe(false);
  });

  it('ends with the reason of the signal, rung or not', async () => {
    const left = new AbortController();
    const bell = new Bell(new HandClock(), left.signal);
    const waiting = bell.wait(100);
    left.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    bell.ring();
    await expect(bell.wait(100)).rejects.toThrow('left');
  });
});
