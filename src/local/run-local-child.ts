import { AppError, isAppError, serializeError, toAppError } from '../base/errors.ts';
import type { ChildMessage, ReadyMessage } from './child-messages.contract.ts';
import { exitCodes } from './exit-codes.contract.ts';

export interface LocalChild {
  /** Said to the supervisor beside "ready". */
  readonly details: Omit<ReadyMessage, 'type'>;
  /** Resolves or rejects only when the child can no longer work. */
  readonly ended: Promise<unknown>;
  close(): Promise<void>;
}

/** A child that cannot close in this time is gone all the same: its parent no longer exists to kill it. */
const closeMs = 10_000;

/**
 * The life of a small supervised process: opens, says "ready" or "failed", closes when the channel to its parent ends or
 * on SIGTERM, and exits. An end nobody asked for exits with 1, so that the supervisor starts it again.
 */
export async function runLocalChild(open: (signal: AbortSignal) => Promise<LocalChild>): Promise<never> {
  const asked = new AbortController();
  const stop = (): void => asked.abort(new AppError('cancelled.shutdown', 'asked to stop'));
  process.once('disconnect', stop);
  process.once('SIGTERM', stop);
  // the channel may have ended before anybody listened
  if (!process.connected) stop();
  try {
    asked.signal.throwIfAborted();
    const child = await open(asked.signal);
    await say({ ...child.details, type: 'ready' });
    const reason = await Promise.race([aborted(asked.signal), child.ended.then(() => 'ended' as const)]);
    if (reason === 'ended') return process.exit(1);
    setTimeout(() => process.exit(1), closeMs).unref();
    await child.close();
    return process.exit(0);
  } catch (error) {
    if (isAppError(error) && error.code === 'cancelled.shutdown') return process.exit(0);
    await say({ type: 'failed', error: serializeError(error) });
    return process.exit(exitCodes[toAppError(error).family]);
  }
}

function aborted(signal: AbortSignal): Promise<'asked'> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve('asked');
    signal.addEventListener('abort', () => resolve('asked'), { once: true });
  });
}

/** Resolves when the message is written, or cannot be: a parent that is gone needs none. */
function say(message: ChildMessage): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || process.send === undefined) return resolve();
    process.send(message, undefined, undefined, () => resolve());
  });
}
