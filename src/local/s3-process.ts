/**
 * The embedded S3 server as a process of its own: `s3-process <data folder>`, address, bucket and credentials from the
 * same environment variables its clients read.
 */
import { systemClock } from '../base/clock.ts';
import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { defaultTenant } from '../base/ids.ts';
import type { Logger } from '../base/log.ts';
import { openS3ObjectStore, sweepExpired } from '../storage/index.ts';
import { buildLineLogger } from './line-logger.ts';
import { type LocalChild, runLocalChild } from './run-local-child.ts';
import { openEmbeddedS3 } from './s3/index.ts';
import { buildEventPoster } from './s3-events.ts';
import { s3DirOf } from './stack-state.ts';

/** A worker on a fast machine uploads about 3 GB of pages in that time. */
const sweepMs = 10 * 60_000;
/** The disk is the user's own: no more of it than the engine takes by default. */
const maxPageBytes = 4 * 2 ** 30;

async function open(): Promise<LocalChild> {
  const dataDir = process.argv[2];
  if (dataDir === undefined) throw new AppError('input.config', 's3-process needs a data folder');
  const endpoint = new URL(required(env.s3Endpoint));
  const log = buildLineLogger('s3', process.env[env.logLevel]);
  const { [env.s3EventsUrl]: url, [env.intakeEventsToken]: token } = process.env;
  const s3 = await openEmbeddedS3({
    dataDir: s3DirOf(dataDir),
    host: endpoint.hostname,
    port: Number(endpoint.port),
    credentials: { accessKeyId: required(env.s3AccessKeyId), secretAccessKey: required(env.s3SecretAccessKey) },
    buckets: [required(env.s3Bucket)],
    log,
    ...(url === undefined || token === undefined ? {} : { onObjectCreated: buildEventPoster({ url, token }, log) }),
  });
  const sweeping = new AbortController();
  void sweepAgainAndAgain(endpoint.origin, log, sweeping.signal);
  return {
    details: {},
    ended: new Promise(() => undefined),
    close: async () => {
      sweeping.abort();
      await s3.close();
    },
  };
}

/** Expiry rules, which this server does not know. A sweep that fails is made up for by the next one. */
async function sweepAgainAndAgain(endpoint: string, log: Logger, signal: AbortSignal): Promise<void> {
  const store = openS3ObjectStore({
    endpoint,
    region: required(env.s3Region),
    bucket: required(env.s3Bucket),
    accessKeyId: required(env.s3AccessKeyId),
    secretAccessKey: required(env.s3SecretAccessKey),
  });
  while (!signal.aborted) {
    try {
      const options = { nowMs: Date.now(), tenant: defaultTenant, pageBytes: maxPageBytes };
      const deleted = await sweepExpired(store, options);
      if (deleted > 0) log.info({ deleted }, 'expired objects are deleted');
    } catch (err) {
      if (!signal.aborted) log.warn({ err }, 'expired objects are not deleted');
    }
    await systemClock.sleep(sweepMs, signal).catch(() => undefined);
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new AppError('input.config', `${name} is not set`);
  return value;
}

await runLocalChild(open);
