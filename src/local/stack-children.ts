import { join } from 'node:path';
import { env as names } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import type { S3Config } from '../config/index.ts';
import type { ChildEnv, ChildOutput, ChildSpec, ReadyChildren } from './child-spec.ts';
import { planEntryCommand } from './entry-command.ts';

/** The entry points of the workers, without extension, relative to this folder or absolute. */
export interface WorkerEntries {
  readonly janitor: string;
  readonly intake: string;
  readonly analysis: string;
  readonly api: string;
}

export const productWorkers: WorkerEntries = {
  janitor: '../../workers/janitor',
  intake: '../../workers/intake',
  analysis: '../../workers/analysis',
  api: '../../workers/api',
};

export interface StackPlan {
  readonly dataDir: string;
  readonly modelDir: string;
  readonly api: { readonly host: string; readonly port: number };
  /** A server of others by its url, or the port of our own. */
  readonly redis:
    | { readonly type: 'external'; readonly url: string }
    | { readonly type: 'private'; readonly port: number };
  readonly s3: { readonly type: 'external' | 'embedded'; readonly access: S3Config };
  /** Where the intake takes news of new objects from the embedded S3 server, and the token that proves who sends it. */
  readonly events: { readonly port: number; readonly token: string };
  /** The caller's environment; what the plan decides is added for the children. */
  readonly env: ChildEnv;
  /** null: everybody writes to stderr. */
  readonly logDir: string | null;
  readonly workers: WorkerEntries;
}

export const redisChild = 'redis-launcher';
const s3Child = 's3';

/** Small processes: the time is for a start-up on a machine that is busy with something else. */
const readyTimeoutMs = 60_000;
/** Reads every weight of the model from disk and prepares it; minutes for the largest that fit one machine. */
const modelReadyTimeoutMs = 15 * 60_000;

/** Redis and the S3 server first, then the workers; consumers stop before the api, which stops before what it reads. */
export function planStackChildren(plan: StackPlan): readonly ChildSpec[] {
  const servers = [...planRedis(plan), ...planS3(plan)];
  const dependsOn = servers.map(({ name }) => name);
  const worker = (name: keyof WorkerEntries): ChildSpec => ({
    name,
    ...planEntryCommand(plan.workers[name]),
    env: (ready) => workerEnv(plan, ready),
    stop: 'sigterm',
    readyTimeoutMs: name === 'analysis' ? modelReadyTimeoutMs : readyTimeoutMs,
    dependsOn,
    output: outputOf(plan, name),
  });
  const consumers = ['janitor', 'intake', 'analysis'] as const;
  return [...servers, ...consumers.map(worker), { ...worker('api'), stopAfter: consumers }];
}

function planRedis(plan: StackPlan): readonly ChildSpec[] {
  if (plan.redis.type === 'external') return [];
  return [
    {
      name: redisChild,
      ...planEntryCommand('./redis-process', [plan.dataDir, String(plan.redis.port)]),
      env: plan.env,
      stop: 'ipc',
      readyTimeoutMs: modelReadyTimeoutMs,
      output: outputOf(plan, 'redis'),
    },
  ];
}

function planS3(plan: StackPlan): readonly ChildSpec[] {
  if (plan.s3.type === 'external') return [];
  return [
    {
      name: s3Child,
      ...planEntryCommand('./s3-process', [plan.dataDir]),
      env: { ...plan.env, ...s3Env(plan.s3.access), ...eventsEnv(plan) },
      stop: 'ipc',
      readyTimeoutMs,
      output: outputOf(plan, 's3'),
    },
  ];
}

/** The address of the stack's Redis, once it is up. */
export function redisUrlOf(plan: StackPlan, ready: ReadyChildren): string {
  if (plan.redis.type === 'external') return plan.redis.url;
  const url = ready.get(redisChild)?.['url'];
  if (typeof url === 'string') return url;
  throw new AppError('bug.invariant', 'the private redis did not tell its url');
}

function workerEnv(plan: StackPlan, ready: ReadyChildren): ChildEnv {
  return {
    ...plan.env,
    ...s3Env(plan.s3.access),
    ...eventsEnv(plan),
    [names.redisUrl]: redisUrlOf(plan, ready),
    [names.dataDir]: plan.dataDir,
    [names.modelDir]: plan.modelDir,
    [names.apiHost]: plan.api.host,
    [names.apiPort]: String(plan.api.port),
  };
}

function eventsEnv({ events }: StackPlan): ChildEnv {
  return {
    [names.intakeEventsPort]: String(events.port),
    [names.intakeEventsToken]: events.token,
    [names.s3EventsUrl]: `http://127.0.0.1:${events.port}/events`,
  };
}

function s3Env(access: S3Config): ChildEnv {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = access;
  return {
    [names.s3Region]: region,
    [names.s3Bucket]: bucket,
    ...(endpoint === null ? {} : { [names.s3Endpoint]: endpoint }),
    ...(accessKeyId === null ? {} : { [names.s3AccessKeyId]: accessKeyId }),
    ...(secretAccessKey === null ? {} : { [names.s3SecretAccessKey]: secretAccessKey }),
  };
}

function outputOf(plan: StackPlan, name: string): ChildOutput {
  return plan.logDir === null ? { type: 'stderr' } : { type: 'file', path: join(plan.logDir, `${name}.log`) };
}
