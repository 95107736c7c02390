import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { armFailpoints, failpoint, parseFailpoints } from '../../../src/base/failpoint.ts';
import { failpoints } from '../../../src/base/failpoints.contract.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

const root = new URL('../../../', import.meta.url).pathname;

afterEach(() => armFailpoints({ plans: [], onceDir: null }));

const arm = (text: string, onceDir: string | null = null): void =>
  armFailpoints({ plans: parseFailpoints(text), onceDir });

function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesOf(path);
    return path.endsWith('.ts') ? [readFileSync(path, 'utf8')] : [];
  });
}

describe('failpoints', () => {
  it('are each used exactly once, and none is used that is not listed', () => {
    const text = [...sourcesOf(join(root, 'src')), ...sourcesOf(join(root, 'workers'))].join('\n');
    const used = [...text.matchAll(/failpoint\('([^']+)'\)/g)].map(([, name]) => name);
    expect(used.toSorted()).toEqual(Object.keys(failpoints).toSorted());
  });

  it('do nothing while none is armed, and only what is armed', async () => {
    expect(failpoint('unit.after-claim')).toBeUndefined();
    arm('segment.before-write=error');
    await expect(failpoint('unit.after-claim')).resolves.toBeUndefined();
    await expect(failpoint('segment.before-write')).rejects.toMatchObject({ code: 'transient.failpoint' });
    await expect(failpoint('segment.before-write')).rejects.toMatchObject({ code: 'transient.failpoint' });
  });

  it('act at the nth arrival only', async () => {
    arm('segment.before-write=error@2, unit.before-seal=error@1');
    await failpoint('segment.before-write');
    await expect(failpoint('segment.before-write')).rejects.toMatchObject({ code: 'transient.failpoint' });
    await failpoint('segment.before-write');
    await expect(failpoint('unit.before-seal')).rejects.toThrow('unit.before-seal');
  });

  it('act once for all processes that share a folder', async () => {
    const folder = await openTemporaryFolder('failpoints');
    try {
      arm('unit.after-claim=error', folder.path);
      await expect(failpoint('unit.after-claim')).rejects.toMatchObject({ code: 'transient.failpoint' });
      await failpoint('unit.after-claim');
      arm('unit.after-claim=error', folder.path);
      await failpoint('unit.after-claim');
      expect(readdirSync(folder.path)).toEqual(['unit.after-claim=error']);
    } finally {
      await folder.remove();
    }
  });

  it('kill the process at once, with nothing behind them done', () => {
    const source = `
      import { armFailpoints, failpoint, parseFailpoints } from '${root}src/base/failpoint.ts';
      armFailpoints({ plans: parseFailpoints('unit.before-seal=kill@2'), onceDir: null });
      await failpoint('unit.before-seal');
      console.log('first');
      await failpoint('unit.before-seal');
      console.log('second');`;
    const { signal, stdout } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', source],
      { encoding: 'utf8', cwd: root },
    );
    expect({ signal, stdout }).toEqual({ signal: 'SIGKILL', stdout: 'first\n' });
  });

  it.each([
    ['unit.after=kill', 'no such failpoint: "unit.after=kill"'],
    ['unit.after-claim', 'no such failpoint: "unit.after-claim"'],
    ['toString=kill', 'no such failpoint'],
    ['unit.after-claim=die', 'not "die"'],
    ['unit.after-claim=delay:1.5', 'not "delay:1.5"'],
    ['unit.after-claim=delay:600001', 'not "delay:600001"'],
    ['unit.after-claim=kill@0', 'counts from 1, not "0"'],
    ['unit.after-claim=kill@', 'counts from 1, not ""'],
  ])('rejects %s', (text, message) => {
    expect(() => parseFailpoints(text)).toThrow(message);
  });
});
