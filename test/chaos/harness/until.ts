import { setTimeout as wait } from 'node:timers/promises';

const pollMs = 25;

/** Resolves with the first value that is neither undefined nor false. @throws past the deadline, naming what was awaited */
export async function until<Value>(
  what: string,
  look: () => Value | undefined | false | Promise<Value | undefined | false>,
  deadlineMs = 60_000,
): Promise<Value> {
  const startMs = Date.now();
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (Date.now() - startMs > deadlineMs) throw new Error(`no ${what} within ${deadlineMs} ms`);
    await wait(pollMs);
  }
}
