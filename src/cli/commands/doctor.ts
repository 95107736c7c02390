import { Command } from 'commander';
import { toAppError } from '../../base/errors.ts';
import { type Config, loadConfig } from '../../config/index.ts';
import { findApiAccess } from '../api-address.ts';
import { type Check, fail } from '../doctor/check.ts';
import { type CliIo, printJson, printLine } from '../io.ts';
import { withApi, withExamples, withJson } from '../options.ts';
import { toPlainLine } from '../plain-text.ts';

interface DoctorOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly model?: string;
  readonly json?: boolean;
}

export function doctorCommand(io: CliIo): Command {
  const command = new Command('doctor')
    .description('check Node, runtime, model, Redis, store, data folder and port, and say what to do')
    .option('--model <dir>', 'model folder (QUIRE_MODEL_DIR, else the bundled one)');
  withJson(withApi(command), 'one JSON object: ok, and checks with name, state, found, todo');
  return withExamples(command, [
    '$ quire doctor',
    '$ quire doctor --api http://quire.internal:8080',
    '',
    'Exit code 1: something is wrong. Lines marked warn are no error.',
  ]).action((options: DoctorOptions) => runDoctor(io, options));
}

async function runDoctor(io: CliIo, options: DoctorOptions): Promise<void> {
  const checks = await examine(io, options);
  const isWell = checks.every(({ state }) => state !== 'fail');
  if (options.json) printJson(io.stdout, { ok: isWell, checks });
  else for (const check of checks) for (const line of render(check)) printLine(io.stdout, line);
  if (!isWell) io.setExitCode(1);
}

async function examine(io: CliIo, options: DoctorOptions): Promise<readonly Check[]> {
  // every room is loaded here only: a broken one must not keep the others from being checked
  const { checkModel, checkNode, checkRuntime } = await import('../doctor/check-program.ts');
  const program = [checkNode(process.versions.node, '20.19'), await checkRuntime()];
  let config: Config;
  try {
    config = loadConfig(io.variables);
  } catch (error) {
    return [...program, fail('settings', toAppError(error).message, 'correct that environment variable')];
  }
  const { checkDataDir, checkRedis, checkStore, findOwner } = await import('../doctor/check-services.ts');
  const { checkApi } = await import('../doctor/check-api.ts');
  const dataDir = options.dataDir ?? config.dataDir;
  const isRunning = findOwner(dataDir) !== null;
  return [
    ...program,
    await checkModel(options.model ?? config.modelDir),
    await checkDataDir(dataDir),
    await checkRedis(config.isRedisGiven ? config.redisUrl : null, isRunning),
    await checkStore(dataDir, io.variables, config.s3.endpoint !== null),
    await checkApi(findApiAccess(options, config), options.api !== undefined || config.apiUrl !== null || isRunning),
  ];
}

const marks = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;

function render({ name, state, found, todo }: Check): readonly string[] {
  const line = toPlainLine(found);
  return [
    `${marks[state]}  ${name.padEnd(12)} ${line}`,
    ...(todo === null ? [] : [`${' '.repeat(19)}→ ${toPlainLine(todo)}`]),
  ];
}
