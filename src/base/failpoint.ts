import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from './errors.ts';
import { type FailpointName, failpoints } from './failpoints.contract.ts';

/**
 * Named places where a process fails on purpose, for tests of what a crash there leaves behind.
 *
 * `name=action` or `name=action@nth`, separated by commas. Actions: `kill` (SIGKILL to this process), `error`
 * (`transient.failpoint` is thrown), `delay:<ms>`, `pause` (SIGSTOP, until somebody continues the process). With `@nth`
 * only the nth arrival counts, without it every one.
 */
export interface FailpointPlan {
  readonly name: FailpointName;
  readonly action:
    | { readonly type: 'kill' }
    | { readonly type: 'error' }
    | { readonly type: 'pause' }
    | { readonly type: 'delay'; readonly ms: number };
  /** null: at every arrival. */
  readonly nth: number | null;
}

export interface FailpointConfig {
  readonly plans: readonly FailpointPlan[];
  /**
   * A folder where each plan leaves a file named after it when it acts, and acts never again while the file is there:
   * a process that was killed and starts anew is not killed again. null: nothing is remembered.
   */
  readonly onceDir: string | null;
}

const maxDelayMs = 600_000;

interface Armed extends FailpointPlan {
  arrivals: number;
}

let armed: readonly Armed[] | null = null;
let onceDir: string | null = null;

/** @throws `input.config` naming what is wrong and what is allowed */
export function parseFailpoints(text: string): readonly FailpointPlan[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(parsePlan);
}

function parsePlan(text: string): FailpointPlan {
  const [, name = '', action = '', nth] = /^([^=]+)=([^@]+)(?:@(.*))?$/.exec(text) ?? [];
  if (!isName(name)) {
    throw new AppError(
      'input.config',
      `no such failpoint: ${JSON.stringify(text)}; name=action[@nth], names: ${names}`,
    );
  }
  return { name, action: parseAction(name, action), nth: nth === undefined ? null : parseNth(name, nth) };
}

const names = Object.keys(failpoints).join(', ');
const isName = (name: string): name is FailpointName => Object.hasOwn(failpoints, name);

function parseAction(name: string, text: string): FailpointPlan['action'] {
  if (text === 'kill' || text === 'error' || text === 'pause') return { type: text };
  const ms = Number(/^delay:(\d+)$/.exec(text)?.[1] ?? Number.NaN);
  if (Number.isSafeInteger(ms) && ms <= maxDelayMs) return { type: 'delay', ms };
  throw new AppError(
    'input.config',
    `failpoint ${name} can kill, error, pause or delay:<0 to ${maxDelayMs}>, not ${JSON.stringify(text)}`,
  );
}

function parseNth(name: string, text: string): number {
  const nth = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(nth) && nth >= 1) return nth;
  throw new AppError('input.config', `failpoint ${name}: @nth counts from 1, not ${JSON.stringify(text)}`);
}

/** Called once at the start of a process; no plans: failpoints cost nothing. */
export function armFailpoints(config: FailpointConfig): void {
  onceDir = config.onceDir;
  armed = config.plans.length === 0 ? null : config.plans.map((plan) => ({ ...plan, arrivals: 0 }));
}

/** Passes through the named place. @throws `transient.failpoint` where the plan says so */
export function failpoint(name: FailpointName): Promise<void> | undefined {
  return armed === null ? undefined : arrive(armed.filter((plan) => plan.name === name));
}

async function arrive(plans: readonly Armed[]): Promise<void> {
  for (const plan of plans) {
    plan.arrivals += 1;
    if (plan.nth !== null && plan.nth !== plan.arrivals) continue;
    if (!takeTurn(plan)) continue;
    await act(plan);
  }
}

/** The file is there before the action: a process that is killed leaves it behind. */
function takeTurn({ name, action, nth }: FailpointPlan): boolean {
  if (onceDir === null) return true;
  try {
    closeSync(openSync(join(onceDir, `${name}=${action.type}${nth === null ? '' : `@${nth}`}`), 'wx'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function act({ name, action }: FailpointPlan): Promise<void> {
  switch (action.type) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return;
    case 'pause':
      process.kill(process.pid, 'SIGSTOP');
      return;
    case 'delay':
      return new Promise((resolve) => setTimeout(resolve, action.ms));
    case 'error':
      throw new AppError('transient.failpoint', `failpoint ${name} was told to fail`);
  }
}
