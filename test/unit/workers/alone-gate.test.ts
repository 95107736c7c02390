import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { AloneGate } from '../../../workers/compose/alone-gate.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

/** Work that ends when it is told to, and says when it begins. */
function work(seen: string[], name: string): { run: () => Promise<void>; end: () => void } {
  let end = (): void => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    run: async () => {
      seen.push(name);
      await ended;
    },
    end,
  };
}

describe('AloneGate', () => {
  it('waits for those that run, and lets nobody begin meanwhile', async () => {
    const gate = new AloneGate();
    const seen: string[] = [];
    const [one, other, alone, late] = ['one', 'other', 'alone', 'late'].map((name) => work(seen, name));
    const all = [gate.beside(one?.run ?? settle), gate.beside(other?.run ?? settle)];
    all.push(gate.alone(alone?.run ?? settle, never));
    all.push(gate.beside(late?.run ?? settle));
    await settle();
    expect(seen).toEqual(['one', 'other']);
    one?.end();
    await settle();
    expect(seen).toEqual(['one', 'other']);
    other?.end();
    await settle();
    expect(seen).toEqual(['one', 'other', 'alone']);
    alone?.end();
    await settle();
    expect(seen).toEqual(['one', 'other', 'alone', 'late']);
    late?.end();
    await Promise.all(all);
  });

  it('is free again after whoever was stopped while waiting, and after one that failed', async () => {
    const gate = new AloneGate();
    const seen: string[] = [];
    const long = work(seen, 'long');
    const running = gate.beside(long.run);
    const stop = new AbortController();
    const stopped = gate.alone(work(seen, 'never').run, stop.signal);
    stop.abort(new AppError('cancelled.shutdown', 'the worker is shutting down'));
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    const failed = gate.alone(async () => {
      throw new Error('no');
    }, never);
    long.end();
    await running;
    await expect(failed).rejects.toThrow('no');
    await gate.beside(async () => void seen.push('after'));
    expect(seen).toEqual(['long', 'after']);
  });
});
