import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { EngineChannel } from '../../src/engine/index.ts';

/** Starts the engine in its own process; it ends with ours, because its channel closes. */
export function forkEngine(): EngineChannel {
  const entry = fileURLToPath(import.meta.resolve('../engine.ts'));
  const child = fork(entry, { execArgv: process.execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return {
    pid: child.pid ?? null,
    send: (message) => {
      if (child.connected) child.send(message, () => {});
    },
    onMessage: (listener) => {
      child.on('message', (message) => listener(message as Parameters<typeof listener>[0]));
    },
    onExit: (listener) => {
      let gone = false;
      const once = (how: string): void => {
        if (gone) return;
        gone = true;
        listener(how);
      };
      child.on('exit', (code, signal) => once(signal === null ? `exit code ${code}` : `signal ${signal}`));
      child.on('error', (error) => once(error.message));
    },
    kill: () => {
      child.kill('SIGTERM');
    },
  };
}
