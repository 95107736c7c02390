import { readdirSync, readFileSync } from 'node:fs';

/** Does this process live, with this text in its environment or command line? Numbers of processes are used again. */
export function isProcessWith(pid: number, text: string): boolean {
  try {
    if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return false;
    return ['environ', 'cmdline'].some((name) => readFileSync(`/proc/${pid}/${name}`, 'utf8').includes(text));
  } catch {
    return false;
  }
}

/** Command lines of all such processes. Needs `/proc`. */
export function processesWith(text: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isProcessWith(Number(name), text))
    .map((pid) => `${pid} ${readCommand(pid)}`);
}

function readCommand(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return 'gone by now';
  }
}
