import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { AppError, serializeError } from '../base/errors.ts';
import { type ChildMessage, parseChildMessage } from './child-messages.contract.ts';
import type { ChildEnv, ChildOutput, ChildSpec } from './child-spec.ts';
import { killGroup, signalProcess } from './process-group.ts';
import { isGroupAlive } from './process-identity.ts';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One process, from its start to its end. */
export interface ChildLife {
  /** Undefined when the command could not even be started. */
  readonly pid: number | undefined;
  /** Resolves after the process ended and whatever it left in its group was ended too; never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Asks it to finish, in the way of its spec. */
  finish(): void;
  /** SIGKILL for it and all it started. */
  kill(): void;
  /** The last lines of its log file; empty when it writes elsewhere. */
  lastWords(): string;
}

/** A kill takes effect in milliseconds; what is left after this cannot be killed, and is not waited for. */
const groupGoneMs = 1_000;
const groupPollMs = 5;
/** For the last message of a process that has ended: it lies in the channel's buffer already. */
const lastMessageMs = 1_000;
/** A log file this long makes room at the next start; the one before it is kept. */
const rotateAtBytes = 16 * 1024 * 1024;

/**
 * Starts the child as leader of a group of its own, so that Ctrl-C in a terminal reaches the supervisor alone and a kill
 * reaches everything the child started.
 */
export function startChildLife(spec: ChildSpec, env: ChildEnv, onMessage: (message: ChildMessage) => void): ChildLife {
  const output = openOutput(spec.output ?? { type: 'stderr' });
  const child = spawn(spec.command, spec.args, {
    env,
    detached: true,
    stdio: ['ignore', output.fd, output.fd, 'ipc'],
  });
  output.close();
  child.on('message', (value) => {
    const message = parseChildMessage(value);
    if (message !== undefined) onMessage(message);
  });
  return {
    pid: child.pid,
    exited: exitOf(spec, child, onMessage),
    finish: () => {
      if (spec.stop === 'sigterm') child.kill('SIGTERM');
      else if (child.connected) child.disconnect();
    },
    kill: () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(child.pid);
    },
    lastWords: () => output.lastWords(),
  };
}

function exitOf(spec: ChildSpec, child: ChildProcess, onMessage: (message: ChildMessage) => void): Promise<ChildExit> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      const cleared = child.pid === undefined ? Promise.resolve() : clearGroup(child.pid);
      void Promise.all([cleared, lastMessageRead(child)]).then(() => resolve({ code, signal }));
    });
    child.on('error', (error) => {
      // a failed send or kill also lands here, with the process alive: only a failed start has no pid
      if (child.pid !== undefined) return;
      const message = `cannot start ${spec.name}: ${error.message}`;
      onMessage({ type: 'failed', error: serializeError(new AppError('input.config', message)) });
      resolve({ code: null, signal: null });
    });
  });
}

/** Ends what a leader left behind in its group, and resolves when it is gone. */
async function clearGroup(leaderPid: number): Promise<void> {
  if (!signalProcess(-leaderPid, 'SIGKILL')) return;
  const deadlineMs = Date.now() + groupGoneMs;
  while (isGroupAlive(leaderPid) && Date.now() < deadlineMs) await wait(groupPollMs);
}

/** The exit can be known before the last message was read; the end of the channel comes after it. */
function lastMessageRead(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (!child.connected) return resolve();
    const timer = setTimeout(resolve, lastMessageMs);
    child.once('disconnect', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function openOutput(output: ChildOutput): { readonly fd: number; close(): void; lastWords(): string } {
  if (output.type === 'stderr') return { fd: 2, close: () => undefined, lastWords: () => '' };
  mkdirSync(dirname(output.path), { recursive: true, mode: 0o700 });
  const before = statSync(output.path, { throwIfNoEntry: false })?.size ?? 0;
  if (before > rotateAtBytes) renameSync(output.path, `${output.path}.1`);
  const start = before > rotateAtBytes ? 0 : before;
  const fd = openSync(output.path, 'a', 0o600);
  return { fd, close: () => closeSync(fd), lastWords: () => readLastLines(output.path, start) };
}

function readLastLines(path: string, start: number): string {
  try {
    const lines = readFileSync(path).subarray(start).subarray(-4_096).toString('utf8').split('\n');
    const said = lines.filter((line) => line.trim() !== '');
    return said.slice(-5).join('\n');
  } catch {
    // a log that was removed meanwhile has no words to add
    return '';
  }
}
