import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import {
  findProcessIdentity,
  isAlive,
  isGroupAlive,
  parseProcessIdentity,
} from '../../../src/local/process-identity.ts';

describe('process identity', () => {
  it('tells a live process from a dead one, and from a later one of the same number', async () => {
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const identity = findProcessIdentity(Number(child.pid));
    expect(identity).toBeDefined();
    if (identity === undefined) return;
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, startedAt: `${identity.startedAt}0` })).toBe(false);
    expect(isAlive({ ...identity, world: 'another' })).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isAlive(identity)).toBe(false);
  });

  it('finds nobody under numbers that no process has', () => {
    for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 30]) expect(findProcessIdentity(pid)).toBeUndefined();
  });

  it('sees a group as long as one member lives', async () => {
    const script =
      'require("child_process").spawn("sleep", ["60"], { stdio: "ignore" }); process.send(1); setInterval(() => {}, 1000)';
    const leader = spawn(process.execPath, ['--eval', script], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    await once(leader, 'message');
    const group = Number(leader.pid);
    leader.kill('SIGKILL');
    await once(leader, 'exit');
    expect(isGroupAlive(group)).toBe(true);
    process.kill(-group, 'SIGKILL');
    await expect.poll(() => isGroupAlive(group)).toBe(false);
  });

  it('survives JSON', () => {
    const identity = findProcessIdentity(process.pid);
    expect(parseProcessIdentity(JSON.parse(JSON.stringify(identity)))).toEqual(identity);
    for (const value of [
      null,
      7,
      {},
      { pid: '1', startedAt: '1', world: null },
      { pid: 1, startedAt: '1', world: 2 },
    ]) {
      expect(parseProcessIdentity(value)).toBeUndefined();
    }
  });
});
