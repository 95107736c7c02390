import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EngineChannel, EngineExit } from '../../src/engine/index.ts';
import { PipeRoom } from './pipe-room.ts';

const engineEntry = fileURLToPath(import.meta.resolve('../engine.ts'));

/**
 * Starts the engine in its own process; it ends with ours, because its channel closes.
 * @param entry another program that speaks the same protocol
 */
export function forkEngine(entry: string = engineEntry): EngineChannel {
  const child = fork(entry, {
    execArgv: process.execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // a prompt of 200 KB costs this side 0.7 ms, as JSON 2.5 to 5 ms, and arrives in half the time
    serialization: 'advanced',
  });
  let onDrain = (): void => {};
  const room = new PipeRoom(() => onDrain());
  let onExit: ((exit: EngineExit) => void) | null = null;
  let ended: EngineExit | null = null;
  let gone: EngineExit | null = null;
  const report = (exit: EngineExit): void => {
    if (gone === null) onExit?.(exit);
    gone ??= exit;
  };
  child.on('exit', (code, signal) => {
    ended = { how: signal === null ? `exit code ${code}` : `signal ${signal}`, code, signal };
    // what it said before it ended is in the pipe until the channel closes
    if (!child.connected) report(ended);
  });
  child.on('disconnect', () => {
    if (ended !== null) report(ended);
  });
  child.on('error', (error) => {
    // other errors are of messages and signals to a process that lives, or has ended and says so
    if (child.pid === undefined) report({ how: error.message, code: null, signal: null });
  });
  return {
    pid: child.pid ?? null,
    send: (message) => !child.connected || room.send((written) => child.send(message, written)),
    onDrain: (listener) => {
      onDrain = listener;
    },
    onMessage: (listener) => {
      child.on('message', listener);
    },
    onExit: (listener) => {
      onExit = listener;
      // it was gone before anybody listened; node keeps its messages for the first listener by itself
      const exit = gone;
      if (exit !== null) queueMicrotask(() => listener(exit));
    },
    kill: () => {
      child.kill('SIGTERM');
    },
  };
}
