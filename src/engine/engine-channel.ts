import type { ClientMessage } from './messages.ts';

/** How an engine process ended. A process that could not be started has neither code nor signal. */
export interface EngineExit {
  /** For people: `signal SIGSEGV`, `exit code 1`. */
  readonly how: string;
  readonly code: number | null;
  readonly signal: string | null;
}

/** A live engine process as the client sees it. */
export interface EngineChannel {
  readonly pid: number | null;
  /** False: the pipe is full. The message is sent all the same; further requests wait for `onDrain`. */
  send(message: ClientMessage): boolean;
  /** Called when the pipe has room again after `send` returned false. */
  onDrain(listener: () => void): void;
  /** Whatever the process says; it is checked before it is believed. */
  onMessage(listener: (message: unknown) => void): void;
  /** Called once, when the process is gone for whatever reason and everything it had said was heard. */
  onExit(listener: (exit: EngineExit) => void): void;
  kill(): void;
}

/** What the end of a process says about the requests that were in it. */
export type Blame =
  /** It went down by itself: something it was given may be the reason. */
  | 'crash'
  /** SIGKILL: an operator, a machine that is taken away, or the system when memory is short. */
  | 'kill'
  /** It was told to end, or never began. */
  | 'none';

/** Signals that a process gets for what it did. */
const faults: readonly string[] = [
  'SIGSEGV',
  'SIGABRT',
  'SIGILL',
  'SIGBUS',
  'SIGFPE',
  'SIGTRAP',
  'SIGSYS',
  'SIGXCPU',
  'SIGXFSZ',
];

export function blameOf({ code, signal }: EngineExit): Blame {
  if (signal === 'SIGKILL') return 'kill';
  if (signal !== null) return faults.includes(signal) ? 'crash' : 'none';
  return code === null || code === 0 ? 'none' : 'crash';
}
