import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ChildJob, ChildMessage } from './child.ts';

const childFile = fileURLToPath(new URL('child.ts', import.meta.url));

/** At the end of the command's time. */
export const outOfTime = 'no time left';

/**
 * Runs a job in a process of its own, and ends it when the time has come.
 * @param endMs by `performance.now()`
 * @returns null, or how the process failed: an exit code, a signal, `outOfTime`
 */
export async function runChild(
  job: ChildJob,
  endMs: number,
  onMessage: (message: ChildMessage) => void,
): Promise<string | null> {
  const leftMs = endMs - performance.now();
  if (leftMs <= 0) return outOfTime;
  // what the engines print of themselves must not come among the figures
  const child = fork(childFile, [JSON.stringify(job)], {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('message', (message) => onMessage(message as ChildMessage));
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, leftMs);
  const end = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve(signal ?? String(exitCode)));
  });
  clearTimeout(timer);
  if (isLate) return outOfTime;
  return end === '0' ? null : end;
}
