import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ChildJob, ChildMessage } from './child.ts';

const childFile = fileURLToPath(new URL('child.ts', import.meta.url));

/** Runs a job in a process of its own and waits for its end. @throws when the process fails */
export async function runChild(job: ChildJob, onMessage: (message: ChildMessage) => void): Promise<void> {
  // what the engines print of themselves must not come among the figures
  const child = fork(childFile, [JSON.stringify(job)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('message', (message) => onMessage(message as ChildMessage));
  const code = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(signal ?? String(exitCode)));
  });
  if (code !== '0') throw new Error(`the measuring process ended with ${code}: ${JSON.stringify(job)}`);
}
