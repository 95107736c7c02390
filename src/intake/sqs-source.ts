import type { Clock } from '../base/clock.ts';
import { toAppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseS3Event } from './s3-event.ts';

export interface QueueMessage {
  readonly id: string;
  readonly body: string;
  /** What deletes this delivery of it. */
  readonly receipt: string;
}

/** The two calls we make of SQS. */
export interface MessageQueue {
  /** Waits some seconds for messages; empty when none came. */
  receive(signal: AbortSignal): Promise<readonly QueueMessage[]>;
  /** @returns receipts that could not be deleted: their messages come again */
  delete(receipts: readonly string[]): Promise<readonly string[]>;
}

export interface SqsSourceOptions {
  readonly queue: MessageQueue;
  readonly onKeys: (keys: readonly string[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const minRetryMs = 1_000;
const maxRetryMs = 30_000;

/**
 * Reads notifications until the signal aborts. A message is deleted after its hint was taken; one that nobody can
 * understand is logged and deleted, because it would come again for ever. What is lost here, the listing finds.
 */
export async function runSqsSource(
  { queue, onKeys, clock, log }: SqsSourceOptions,
  signal: AbortSignal,
): Promise<void> {
  let retryMs = minRetryMs;
  while (!signal.aborted) {
    try {
      const messages = await queue.receive(signal);
      for (const message of messages) takeMessage(message, onKeys, log);
      if (messages.length > 0) {
        const left = await queue.delete(messages.map(({ receipt }) => receipt));
        if (left.length > 0) log.warn({ messages: left.length }, 'notifications could not be deleted and come again');
      }
      retryMs = minRetryMs;
    } catch (err) {
      if (signal.aborted) return;
      log.warn({ err, retryMs }, 'notifications could not be read');
      await clock.sleep(retryMs, signal).catch(() => {});
      retryMs = Math.min(retryMs * 2, maxRetryMs);
    }
  }
}

function takeMessage({ id, body }: QueueMessage, onKeys: SqsSourceOptions['onKeys'], log: Logger): void {
  let keys: readonly string[];
  try {
    keys = parseS3Event(body);
  } catch (error) {
    log.warn({ messageId: id, err: toAppError(error) }, 'notification dropped: it cannot be understood');
    return;
  }
  onKeys(keys);
}
