import { errorCodes } from '../base/error-codes.ts';
import type { SerializedError } from '../base/errors.ts';

/**
 * What a supervised child says over its IPC channel. The supervisor says nothing back: it ends the channel, and a child
 * whose channel has ended ends itself.
 */
export type ChildMessage = ReadyMessage | PidsMessage | FailedMessage;

/** Sent once a life, when the child can do its work. */
export interface ReadyMessage {
  readonly type: 'ready';
  /** Processes the child started itself, by name; they are shown beside it and end with it. */
  readonly pids?: Readonly<Record<string, number>>;
  /** Anything plain the others need to know, e.g. an address. */
  readonly [detail: string]: unknown;
}

/** Sent when a process the child started itself was replaced. */
export interface PidsMessage {
  readonly type: 'pids';
  readonly pids: Readonly<Record<string, number>>;
}

/** Sent before exiting: why the child cannot do its work. */
export interface FailedMessage {
  readonly type: 'failed';
  readonly error: SerializedError;
}

/** Undefined for messages that are none of ours. */
export function parseChildMessage(value: unknown): ChildMessage | undefined {
  if (!isRecord(value)) return undefined;
  switch (value['type']) {
    case 'ready':
      return { ...value, type: 'ready', pids: parsePids(value['pids']) };
    case 'pids':
      return { type: 'pids', pids: parsePids(value['pids']) };
    case 'failed':
      return { type: 'failed', error: parseError(value['error']) };
    default:
      return undefined;
  }
}

function parsePids(value: unknown): Readonly<Record<string, number>> {
  if (!isRecord(value)) return {};
  const valid = (entry: [string, unknown]): entry is [string, number] => Number.isSafeInteger(entry[1]);
  return Object.fromEntries(Object.entries(value).filter(valid));
}

function parseError(value: unknown): SerializedError {
  const { code, message, details, param } = isRecord(value) ? value : {};
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code);
  return {
    code: known ? (code as SerializedError['code']) : 'bug.invariant',
    message: typeof message === 'string' ? message : 'failed without saying why',
    details: isRecord(details) ? (details as NonNullable<SerializedError['details']>) : null,
    param: typeof param === 'string' ? param : null,
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
