/**
 * The embedded S3 server as a process of its own: `s3-process <data folder>`, address, bucket and credentials from the
 * same environment variables its clients read.
 */
import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { buildLineLogger } from './line-logger.ts';
import { type LocalChild, runLocalChild } from './run-local-child.ts';
import { openEmbeddedS3 } from './s3/index.ts';
import { buildEventPoster } from './s3-events.ts';
import { s3DirOf } from './stack-state.ts';

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
  return { details: {}, ended: new Promise(() => undefined), close: () => s3.close() };
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new AppError('input.config', `${name} is not set`);
  return value;
}

await runLocalChild(open);
