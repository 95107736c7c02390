import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { env as names } from '../base/env.contract.ts';
import { AppError, isAppError } from '../base/errors.ts';
import { loadConfig, type S3Config } from '../config/index.ts';
import { type DataFolderLock, lockDataFolder } from './data-folder.ts';
import { buildLineLogger } from './line-logger.ts';
import { findFreePort } from './ports.ts';
import { findStackState, type StackState, s3DirOf } from './stack-state.ts';

const loopback = '127.0.0.1';

export interface LocalBucket {
  readonly s3: S3Config;
  close(): Promise<void>;
}

/**
 * The bucket of a data folder, whether its quire is running (then through that one's server) or not (then through a
 * server of our own, with the folder locked until `close`). With `S3_ENDPOINT` set, the bucket is there.
 * @throws `input.config` when there is no such data folder
 */
export async function openLocalBucket(
  dataDir: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<LocalBucket> {
  const { s3 } = loadConfig(env);
  if ((env[names.s3Endpoint] ?? '') !== '') return { s3, close: async () => undefined };
  const dir = resolve(dataDir);
  const state = existsSync(dir) ? findStackState(dir) : undefined;
  if (state === undefined) throw new AppError('input.config', `no data of quire in ${dir}`, { details: { dataDir } });
  const lock = tryLock(dir);
  if (lock === undefined) return { s3: accessOf(state, state.s3Port), close: async () => undefined };
  try {
    const port = await findFreePort(loopback, { preferred: state.s3Port });
    const access = accessOf(state, port);
    // a running quire has the server in a process of its own, so most callers never need this code
    const { openEmbeddedS3 } = await import('./s3/index.ts');
    const server = await openEmbeddedS3({
      dataDir: s3DirOf(dir),
      host: loopback,
      port,
      credentials: { accessKeyId: state.accessKeyId, secretAccessKey: state.secretAccessKey },
      buckets: [state.bucket],
      log: buildLineLogger('s3', 'warn'),
    });
    const close = async (): Promise<void> => {
      await server.close();
      lock.release();
    };
    return { s3: access, close };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function accessOf(state: StackState, port: number | null): S3Config {
  const { region, bucket, accessKeyId, secretAccessKey } = state;
  return { endpoint: `http://${loopback}:${port}`, region, bucket, accessKeyId, secretAccessKey };
}

/** Undefined while a running quire has the folder. */
function tryLock(dir: string): DataFolderLock | undefined {
  try {
    return lockDataFolder(dir);
  } catch (error) {
    if (isAppError(error) && error.code === 'input.data-folder-locked') return undefined;
    throw error;
  }
}
