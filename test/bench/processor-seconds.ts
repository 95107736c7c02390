import { readStatFields } from '../../src/local/process-identity.ts';

/** What `/proc` counts in: 100 a second on every Linux that Node runs on. */
const ticksASecond = 100;

/** Seconds of processor that a process and all of its threads have used so far. Linux only. */
export function processorSeconds(pid: number): number {
  const fields = readStatFields(pid);
  if (fields === undefined) throw new Error(`nothing in /proc of process ${pid}`);
  return (Number(fields[11]) + Number(fields[12])) / ticksASecond;
}
