import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { type FailpointConfig, parseFailpoints } from '../base/failpoint.ts';
import { type EngineConfig, readEngine } from './engine-config.ts';
import { readMetadataUrl } from './metadata-url.ts';
import { readInteger, readOneOf, readText } from './read-variable.ts';
import { readWebhooks, type WebhookConfig } from './webhook-config.ts';

export interface S3Config {
  /** null: AWS itself. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  /** null: the SDK's default credential chain. */
  readonly accessKeyId: string | null;
  readonly secretAccessKey: string | null;
}

export interface LimitsConfig {
  readonly maxFileBytes: number;
  readonly maxLines: number;
  readonly maxLineBytes: number;
}

/** Every setting of every process, resolved once; the table in the root README lists the same. */
export interface Config {
  /** Where `quire up` keeps everything. */
  readonly dataDir: string;
  readonly redisUrl: string;
  /** Without it, `quire up` runs a Redis of its own. */
  readonly isRedisGiven: boolean;
  readonly s3: S3Config;
  readonly modelDir: string;
  readonly api: {
    readonly host: string;
    readonly port: number;
    /** null: loopback only, any bearer accepted. */
    readonly keys: readonly string[] | null;
  };
  /** Where the command line finds a server; null: on this machine. */
  readonly apiUrl: string | null;
  readonly limits: LimitsConfig;
  readonly engine: EngineConfig;
  readonly analysis: {
    readonly unitConcurrency: number;
    readonly lockMs: number;
    readonly stalledMs: number;
    /** Address under which the machine says that it will be taken away; null: nobody asks. */
    readonly spotNoticeUrl: string | null;
  };
  readonly intake: {
    /** Between two listings of the whole inbox, which find what notifications missed. */
    readonly listMs: number;
    /** How long a dropped object must stay unchanged. */
    readonly settleMs: number;
    /** Of the endpoint on loopback that takes S3 events; 0: any free port. */
    readonly eventsPort: number;
    /** Bearer token of that endpoint; null: there is no endpoint. */
    readonly eventsToken: string | null;
    /** Queue with the bucket's notifications; null: none. */
    readonly sqsUrl: string | null;
  };
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Workers that must end without a word while a line runs alone, before the line is set aside. */
  readonly lineDeaths: number;
  readonly webhooks: WebhookConfig;
  readonly failpoints: FailpointConfig;
  /** File to which engines write what they produce, as evidence of work done twice; null: none. */
  readonly engineLog: string | null;
}

type Variables = Readonly<Record<string, string | undefined>>;

const mebibyte = 1 << 20;

/** The model that comes with quire. */
const bundledModelDir = fileURLToPath(new URL('../../model/quire-nano', import.meta.url));

/** Process variables → config. @throws `input.config` naming the variable, the value met and the values allowed */
export function loadConfig(variables: Variables = process.env): Config {
  const dataDir = resolve(readText(variables, env.dataDir, '.quire'));
  return Object.freeze({
    dataDir,
    redisUrl: readRedisUrl(variables),
    isRedisGiven: readText(variables, env.redisUrl, '') !== '',
    s3: readS3(variables),
    modelDir: resolve(readText(variables, env.modelDir, bundledModelDir)),
    api: readApi(variables),
    apiUrl: readApiUrl(variables),
    limits: {
      maxFileBytes: readInteger(variables, env.maxFileBytes, {
        fallback: 512 * mebibyte,
        min: 1,
        max: 8192 * mebibyte,
      }),
      maxLines: readInteger(variables, env.maxLines, { fallback: 50_000, min: 1, max: 1_000_000 }),
      maxLineBytes: readInteger(variables, env.maxLineBytes, { fallback: mebibyte, min: 1, max: 64 * mebibyte }),
    },
    engine: readEngine(variables, dataDir),
    analysis: {
      unitConcurrency: readInteger(variables, env.analysisConcurrency, { fallback: 4, min: 1, max: 256 }),
      lockMs: readInteger(variables, env.lockMs, { fallback: 5_000, min: 500, max: 600_000 }),
      stalledMs: readInteger(variables, env.stalledMs, { fallback: 2_000, min: 200, max: 600_000 }),
      spotNoticeUrl: readMetadataUrl(variables, env.spotNoticeUrl),
    },
    intake: readIntake(variables),
    logLevel: readOneOf(variables, env.logLevel, ['debug', 'info', 'warn', 'error'] as const, 'info'),
    lineDeaths: readInteger(variables, env.lineDeaths, { fallback: 3, min: 1, max: 100 }),
    webhooks: readWebhooks(variables),
    failpoints: {
      plans: parseFailpoints(readText(variables, env.failpoints, '')),
      onceDir: readPath(variables, env.failpointDir),
    },
    engineLog: readPath(variables, env.engineLog),
  });
}

function readPath(variables: Variables, name: string): string | null {
  const path = readText(variables, name, '');
  return path === '' ? null : resolve(path);
}

function readIntake(variables: Variables): Config['intake'] {
  const token = readText(variables, env.intakeEventsToken, '');
  const sqsUrl = readText(variables, env.intakeSqsUrl, '');
  if (sqsUrl !== '' && !/^https?:\/\//.test(sqsUrl)) {
    throw new AppError(
      'input.config',
      `${env.intakeSqsUrl} must start with https:// or http://, not ${JSON.stringify(sqsUrl)}`,
    );
  }
  return {
    listMs: readInteger(variables, env.intakeListMs, { fallback: 2_000, min: 100, max: 86_400_000 }),
    settleMs: readInteger(variables, env.intakeSettleMs, { fallback: 5_000, min: 0, max: 3_600_000 }),
    eventsPort: readInteger(variables, env.intakeEventsPort, { fallback: 0, min: 0, max: 65_535 }),
    eventsToken: token === '' ? null : token,
    sqsUrl: sqsUrl === '' ? null : sqsUrl,
  };
}

function readRedisUrl(variables: Variables): string {
  const url = readText(variables, env.redisUrl, 'redis://127.0.0.1:6379');
  if (/^rediss?:\/\//.test(url)) return url;
  // the value may carry a password, so it is not repeated
  throw new AppError('input.config', `${env.redisUrl} must start with redis:// or rediss://`);
}

function readS3(variables: Variables): S3Config {
  const accessKeyId = variables[env.s3AccessKeyId] ?? null;
  const secretAccessKey = variables[env.s3SecretAccessKey] ?? null;
  if ((accessKeyId === null) !== (secretAccessKey === null)) {
    throw new AppError('input.config', `${env.s3AccessKeyId} and ${env.s3SecretAccessKey} must be given together`);
  }
  return {
    endpoint: variables[env.s3Endpoint] ?? null,
    region: readText(variables, env.s3Region, 'us-east-1'),
    bucket: readText(variables, env.s3Bucket, 'quire'),
    accessKeyId,
    secretAccessKey,
  };
}

function readApiUrl(variables: Variables): string | null {
  const url = readText(variables, env.apiUrl, '');
  if (url === '' || /^https?:\/\//.test(url)) return url === '' ? null : url;
  throw new AppError('input.config', `${env.apiUrl} must start with http:// or https://, not ${JSON.stringify(url)}`);
}

const loopbackHosts = ['127.0.0.1', 'localhost', '::1'];

function readApi(variables: Variables): Config['api'] {
  const host = readText(variables, env.apiHost, '127.0.0.1');
  const keys = (variables[env.apiKeys] ?? '')
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '');
  if (keys.length === 0 && !loopbackHosts.includes(host)) {
    throw new AppError(
      'input.config',
      `binding to ${host} needs ${env.apiKeys}; without keys only ${loopbackHosts.join(', ')} are allowed`,
    );
  }
  const port = readInteger(variables, env.apiPort, { fallback: 8080, min: 0, max: 65_535 });
  return { host, port, keys: keys.length === 0 ? null : keys };
}
