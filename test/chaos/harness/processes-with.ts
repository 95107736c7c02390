import { execFileSync } from 'node:child_process';

/** Command lines of processes that name this folder, as `ps` prints them. */
export function processesWith(folder: string): readonly string[] {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(folder) && !line.includes('ps -eo'));
}
