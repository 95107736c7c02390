/**
 * The whole of quire on one machine over one data folder.
 *
 * T1  One stack per data folder, and none of an earlier stack's processes left, before anything is started.
 * T2  The same folder gives the same Redis and S3 addresses as long as their ports are free, and always the same data.
 * T3  Either all of it is up or none: whatever stops the start is thrown after everything else has ended.
 */
import { join } from 'node:path';
import { env as names } from '../base/env.contract.ts';
import type { Logger } from '../base/log.ts';
import { loadConfig, type S3Config } from '../config/index.ts';
import type { ChildEnv } from './child-spec.ts';
import { lockDataFolder } from './data-folder.ts';
import { exitCodes } from './exit-codes.contract.ts';
import { endLeftoverChildren, recordChildren } from './leftover-children.ts';
import { buildLineLogger } from './line-logger.ts';
import { checkPortFree, findFreePort } from './ports.ts';
import { stopLeftoverRedis } from './redis-leftover.ts';
import { planStackChildren, productWorkers, redisUrlOf, type StackPlan, type WorkerEntries } from './stack-children.ts';
import { findStackState, newSecret, saveStackState } from './stack-state.ts';
import { openStopSignals, type StopSignals } from './stop-signals.ts';
import { openSupervisor, type StopOptions } from './supervisor.ts';
import type { Pids, SupervisorEvent } from './supervisor-events.ts';

const loopback = '127.0.0.1';

export interface StackOptions {
  readonly dataDir: string;
  readonly apiHost: string;
  /** 0: any free port. */
  readonly apiPort: number;
  readonly modelDir: string;
  readonly onEvent?: (event: SupervisorEvent) => void;
  /** @defaultValue JSON lines to stderr from level warn on, or from `QUIRE_LOG_LEVEL` where that is set */
  readonly log?: Logger;
  /**
   * The environment of the children, and where `REDIS_URL` and `S3_ENDPOINT` name servers to use instead of our own.
   * Without an endpoint, bucket and keys given here are those of the embedded server.
   * @defaultValue this process's own
   */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Where the children log: `<dataDir>/logs/<name>.log`, or our stderr. @defaultValue files */
  readonly logs?: 'files' | 'stderr';
  /** When to stop. @defaultValue at SIGINT, SIGTERM and SIGHUP of this process, while the stack exists */
  readonly signals?: Pick<StopSignals, 'stop' | 'force'>;
  /** From the request to stop until the rest is killed. @defaultValue `lifecycle.forceMs` */
  readonly forceMs?: number;
  /** @defaultValue the product's own */
  readonly workers?: WorkerEntries;
}

export interface Stack {
  /** Without a slash at the end; reachable from this machine whatever address the api is bound to. */
  readonly apiUrl: string;
  readonly s3: S3Config;
  readonly redisUrl: string;
  /** Every process alive now, by name: `redis` is the server itself, `engine` whatever the analysis worker told of. */
  pids(): Pids;
  /** Consumers first, then the api, then the servers; then the folder is free. May be called again, to force. */
  stop(options?: StopOptions): Promise<void>;
  /** Resolves when the stack has stopped, whoever asked for it, with the exit code: 0, or 130 when it had to be forced. */
  readonly ended: Promise<number>;
}

/**
 * Resolves when every process is ready.
 * @throws `input.data-folder-locked`, `input.port-taken`, `input.config`, `cancelled.shutdown`, and whatever error a
 *   worker gave as the reason why it cannot start
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const env = options.env ?? process.env;
  const log = options.log ?? buildLineLogger('quire', env[names.logLevel] ?? 'warn');
  const lock = lockDataFolder(options.dataDir);
  const own = options.signals === undefined ? openStopSignals() : undefined;
  const signals = options.signals ?? own;
  const leave = (): void => {
    own?.close();
    lock.release();
  };
  try {
    const plan = await planStack({ ...options, env, log, dataDir: lock.dir });
    const record = recordChildren(lock.dir);
    const supervisor = await openSupervisor({
      children: planStackChildren(plan),
      log,
      onEvent: (event) => {
        record(event);
        options.onEvent?.(event);
      },
      ...(signals === undefined ? {} : { stopSignal: signals.stop, forceSignal: signals.force }),
      ...(options.forceMs === undefined ? {} : { forceMs: options.forceMs }),
    });
    const ended = supervisor.stopped.then(({ forced }) => {
      leave();
      return forced ? exitCodes.cancelled : 0;
    });
    return {
      apiUrl: `http://${urlHostOf(plan.api.host)}:${plan.api.port}`,
      s3: plan.s3.access,
      redisUrl: redisUrlOf(plan, supervisor.ready),
      pids: () => supervisor.pids(),
      stop: async (how) => {
        await supervisor.stop(how);
        await ended;
      },
      ended,
    };
  } catch (error) {
    leave();
    throw error;
  }
}

type PlanOptions = StackOptions & Required<Pick<StackOptions, 'env' | 'log'>>;

async function planStack(options: PlanOptions): Promise<StackPlan> {
  const { dataDir, log } = options;
  // what the workers would refuse is refused before anything is started
  const { redisUrl, s3 } = loadConfig({ ...options.env, [names.apiHost]: options.apiHost });
  await endLeftoverChildren(dataDir, log);
  await stopLeftoverRedis(dataDir, log);
  const api = { host: options.apiHost, port: await chooseApiPort(options) };
  const state = findStackState(dataDir);
  const redisPort = await findFreePort(loopback, { preferred: state?.redisPort ?? null, avoid: [api.port] });
  const s3Port = await findFreePort(loopback, { preferred: state?.s3Port ?? null, avoid: [api.port, redisPort] });
  const isGiven = (name: string): boolean => (options.env[name] ?? '') !== '';
  const own = {
    region: s3.region,
    bucket: isGiven(names.s3Bucket) ? s3.bucket : (state?.bucket ?? s3.bucket),
    accessKeyId: s3.accessKeyId ?? state?.accessKeyId ?? 'quire',
    secretAccessKey: s3.secretAccessKey ?? state?.secretAccessKey ?? newSecret(),
  };
  const eventsPort = await findFreePort(loopback, { preferred: null, avoid: [api.port, redisPort, s3Port] });
  saveStackState(dataDir, { redisPort, s3Port, apiUrl: `http://${urlHostOf(api.host)}:${api.port}`, ...own });
  const embedded = { endpoint: `http://${loopback}:${s3Port}`, ...own };
  return {
    dataDir,
    modelDir: options.modelDir,
    api,
    redis: isGiven(names.redisUrl) ? { type: 'external', url: redisUrl } : { type: 'private', port: redisPort },
    s3: isGiven(names.s3Endpoint) ? { type: 'external', access: s3 } : { type: 'embedded', access: embedded },
    events: { port: eventsPort, token: newSecret() },
    env: definedOf(options.env),
    logDir: options.logs === 'stderr' ? null : join(dataDir, 'logs'),
    workers: options.workers ?? productWorkers,
  };
}

async function chooseApiPort({ apiHost, apiPort }: StackOptions): Promise<number> {
  if (apiPort === 0) return await findFreePort(apiHost);
  await checkPortFree(apiHost, apiPort, 'the api');
  return apiPort;
}

function definedOf(env: PlanOptions['env']): ChildEnv {
  const isDefined = (entry: [string, string | undefined]): entry is [string, string] => entry[1] !== undefined;
  return Object.fromEntries(Object.entries(env).filter(isDefined));
}

/** An address that means "all of them" is reached through loopback. */
function urlHostOf(host: string): string {
  if (host === '0.0.0.0') return loopback;
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
