import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { signalProcess } from './process-group.ts';

/**
 * A process told apart from a later one that got the same number. `startedAt` is opaque text: kernel ticks since boot
 * where /proc exists, else the start time as `ps` prints it; `world` names the boot and the pid namespace the number
 * belongs to, or is null where the system has no /proc.
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startedAt: string;
  readonly world: string | null;
}

/** The identity of a live process; undefined when there is none, or only a zombie waiting for its parent. */
export function findProcessIdentity(pid: number): ProcessIdentity | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const startedAt = hasProc() ? startOfLinux(pid) : startOfPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt, world: currentWorld() };
}

/** Does exactly this process still live here? False for numbers of another boot or another pid namespace. */
export function isAlive(identity: ProcessIdentity): boolean {
  const found = findProcessIdentity(identity.pid);
  return found !== undefined && found.startedAt === identity.startedAt && found.world === identity.world;
}

/** Boot and pid namespace of this process: within one such world, process numbers can be checked. */
export function currentWorld(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return null;
  }
}

/** Undefined when the value is not an identity, e.g. out of a file written by another version. */
export function parseProcessIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startedAt, world } = value as Record<keyof ProcessIdentity, unknown>;
  if (typeof pid !== 'number' || typeof startedAt !== 'string') return undefined;
  if (world !== null && typeof world !== 'string') return undefined;
  return { pid, startedAt, world };
}

/** Has the process group a member that is more than a zombie? Where there is no /proc, a zombie counts too. */
export function isGroupAlive(leaderPid: number): boolean {
  if (!hasProc()) return signalProcess(-leaderPid, 0);
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    const fields = readStatFields(Number(name));
    return fields !== undefined && fields[2] === String(leaderPid) && !isOver(fields[0]);
  });
}

function hasProc(): boolean {
  return process.platform === 'linux';
}

function startOfLinux(pid: number): string | undefined {
  const fields = readStatFields(pid);
  return fields === undefined || isOver(fields[0]) ? undefined : fields[19];
}

/**
 * What follows the command in `/proc/<pid>/stat`: state, parent, process group, … ticks of processor in user and system
 * code at 11 and 12, start ticks at 19. undefined: the process is gone, or this is no Linux.
 */
export function readStatFields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the command stands in parentheses and may itself hold spaces and parentheses: count from the last one
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function isOver(state: string | undefined): boolean {
  return state === 'Z' || state === 'X';
}

function startOfPs(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const [state = '', ...start] = line.split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}
