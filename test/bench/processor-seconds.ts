import { readFileSync } from 'node:fs';

/** What `/proc` counts in: 100 a second on every Linux that Node runs on. */
const ticksASecond = 100;

/** Seconds of processor that a process and all of its threads have used so far. Linux only. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // the command is in brackets and may hold anything; user and system time are fields 14 and 15 of the whole line
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksASecond;
}
