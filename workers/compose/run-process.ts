import { serializeError, toAppError } from '../../src/base/errors.ts';
import { armFailpoints } from '../../src/base/failpoint.ts';
import { lifecycle } from '../../src/base/lifecycle.contract.ts';
import type { Logger } from '../../src/base/log.ts';
import { type Config, loadConfig } from '../../src/config/index.ts';
import { exitCodes } from '../../src/local/exit-codes.contract.ts';
import { openLogger } from './logger.ts';

/** What a process keeps running; `stop` is called once, and ends in less than the grace time. */
export interface RunningProcess {
  stop(): Promise<void>;
  /** Facts for the supervisor, e.g. the port that was bound or the engine's process id. */
  readonly ready?: Readonly<Record<string, unknown>>;
}

/**
 * Runs one process of quire: starts it, tells the parent, stops on SIGTERM, SIGINT or the parent's end.
 * Messages to the parent: `{type:'ready', …}` or `{type:'failed', error}`.
 */
export async function runProcess(
  name: string,
  start: (config: Config, log: Logger) => Promise<RunningProcess>,
): Promise<void> {
  let log = openLogger(name, 'info');
  let running: RunningProcess | null = null;
  let stopping = false;
  const stop = (why: string): void => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ why }, 'process stops');
    setTimeout(() => process.exit(1), lifecycle.graceMs).unref();
    Promise.resolve(running?.stop()).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('disconnect', () => stop('parent ended'));
  // a parent that ended while this process loaded fired its event before anybody listened
  if (process.send !== undefined && !process.connected) return stop('parent ended');
  try {
    const config = loadConfig();
    log = openLogger(name, config.logLevel);
    armFailpoints(config.failpoints);
    running = await start(config, log);
    process.send?.({ type: 'ready', ...running.ready });
    log.info({ ...running.ready }, 'process ready');
  } catch (error) {
    const known = toAppError(error);
    log.error({ err: known.message, code: known.code }, 'process cannot start');
    const exit = (): never => process.exit(exitCodes[known.family]);
    if (process.send === undefined) exit();
    // the message must leave before the process does
    else process.send({ type: 'failed', error: serializeError(known) }, exit);
  }
}
