import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram, runCli } from '../../../src/cli/program.ts';
import { openFakeIo } from './fake-io.ts';

async function run(...args: string[]) {
  const io = openFakeIo();
  return { code: await runCli(args, io), out: io.stdout.text, err: io.stderr.text };
}

function leavesOf(
  command: Command,
  path: readonly string[] = [],
): readonly { path: readonly string[]; command: Command }[] {
  const here = [...path, command.name()];
  if (command.commands.length === 0) return [{ path: here, command }];
  return [{ path: here, command }, ...command.commands.flatMap((sub) => leavesOf(sub, here))];
}

const commands = leavesOf(buildProgram(openFakeIo()));

describe('help', () => {
  it.each(commands.map(({ path }) => path.slice(1).join(' ')))(
    'of "quire %s" has a description and examples',
    async (path) => {
      const { code, out, err } = await run(...path.split(' ').filter((word) => word !== ''), '--help');
      expect(code).toBe(0);
      expect(err).toBe('');
      expect(out).toMatch(/Examples?:\n {2}\$ quire|From nothing to an answer/);
      expect(out).toContain(`Usage: quire ${path}`.trimEnd());
    },
  );

  it('of the whole lists every exit code that errors have', async () => {
    const { out } = await run('--help');
    for (const code of [0, 1, 2, 65, 70, 75, 130]) expect(out).toMatch(new RegExp(`^ +${code}  \\S`, 'm'));
  });

  it('is shown with code 2 when there is no command', async () => {
    const { code, err } = await run();
    expect(code).toBe(2);
    expect(err).toContain('Usage: quire');
  });

  it('offers --json wherever there is something to print', () => {
    const without = commands
      .filter(({ command }) => command.commands.length === 0)
      .filter(({ command }) => !command.options.some(({ long }) => long === '--json'))
      .map(({ path }) => path.join(' '));
    // the bytes of an object are what they are
    expect(without).toEqual(['quire object get']);
  });
});

describe('wrong usage', () => {
  it.each([
    [['submitt'], /unknown command 'submitt' \(Did you mean submit\?\)/],
    [['batch', 'lst'], /unknown command 'lst' \(Did you mean list\?\)/],
    [['submit', 'a.md', '--aks', 'x'], /unknown option '--aks' \(Did you mean --ask\?\)/],
    [['watch'], /missing required argument 'id'/],
    [['drop', 'a.md'], /required option '--folder <name>' not specified/],
    [
      ['batch', 'list', '--limit', 'x'],
      /'--limit <n>' argument 'x' is invalid. It must be an integer from 1 to 100000/,
    ],
    [['submit', 'a.md', '--ask', 'x', '--answer', 'xml'], /Allowed choices are json, text/],
    [['submit', 'a.md', '--ask', 'x', '--temperature', '3'], /It must be a number from 0 to 2/],
  ])('%j ends with code 2 and one sentence', async (args, message) => {
    const { code, out, err } = await run(...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(message);
    expect(err.trim().split('\n')).toHaveLength(2);
  });

  it('is one JSON object on stdout with --json', async () => {
    const { code, out } = await run('submitt', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ ok: false, error: { code: 'input.invalid-request' } });
  });

  it('names a setting that is wrong', async () => {
    const io = openFakeIo({ QUIRE_API_PORT: 'x' });
    expect(await runCli(['batch', 'list'], io)).toBe(2);
    expect(io.stderr.text).toMatch(/^quire: QUIRE_API_PORT must be an integer/);
  });
});

describe('version', () => {
  it('is the one of the package', async () => {
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
