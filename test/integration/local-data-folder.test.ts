import { fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planEntryCommand } from '../../src/local/entry-command.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeEach(async () => {
  folder = await openTemporaryFolder('lock-race');
});

afterEach(() => folder.remove());

const entry = new URL('../support/stand-ins/lock-racer', import.meta.url).pathname;

/** A process that is up and waits for the word to lock the folder. */
async function startRacer() {
  const { args } = planEntryCommand(entry, [folder.path]);
  const [path = '', ...rest] = args.slice(-2);
  const child = fork(path, rest, { execArgv: args.slice(0, -2) });
  await once(child, 'message');
  return {
    race: async (): Promise<string> => {
      const answer = once(child, 'message');
      child.send('go');
      return String((await answer)[0]);
    },
    kill: async (): Promise<void> => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

describe('lockDataFolder between processes', () => {
  it('lets exactly one of many simultaneous starts in, also when each takes over from a killed one', async () => {
    const racers = await Promise.all(Array.from({ length: 6 }, startRacer));
    let left = racers;
    while (left.length > 0) {
      const answers = await Promise.all(left.map((racer) => racer.race()));
      expect(answers.filter((answer) => answer === 'mine')).toHaveLength(1);
      expect(new Set(answers)).toEqual(new Set(left.length === 1 ? ['mine'] : ['mine', 'input.data-folder-locked']));
      const winner = left[answers.indexOf('mine')];
      await winner?.kill();
      left = left.filter((racer) => racer !== winner);
    }
  });
});
