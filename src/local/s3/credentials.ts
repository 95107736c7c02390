import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { AppError } from '../../base/errors.ts';
import type { S3Credentials } from './signature.ts';

/**
 * The credentials in the file, or fresh ones written to it, readable by its owner only. Of several processes that begin
 * at once all get the same ones. @throws `corrupt.record` when the file is something else
 */
export function loadOrCreateCredentials(path: string): S3Credentials {
  const found = findCredentials(path);
  if (found !== undefined) return found;
  const fresh: S3Credentials = {
    accessKeyId: `QUIRE${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64url'),
  };
  const beside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  writeFileSync(beside, `${JSON.stringify({ version: 1, ...fresh })}\n`, { mode: 0o600, flag: 'wx', flush: true });
  try {
    // a link, unlike a rename, leaves a file that another process made meanwhile
    linkSync(beside, path);
    return fresh;
  } catch (error) {
    const other = findCredentials(path);
    if (other !== undefined) return other;
    throw error;
  } finally {
    rmSync(beside, { force: true });
  }
}

function findCredentials(path: string): S3Credentials | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return parseCredentials(text, path);
}

function parseCredentials(text: string, path: string): S3Credentials {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AppError('corrupt.record', `${path} is not JSON`, { cause: error });
  }
  const { version, accessKeyId, secretAccessKey } = Object(value) as Readonly<Record<string, unknown>>;
  if (version !== 1) throw new AppError('corrupt.version', `${path} has version ${String(version)}, not 1`);
  if (
    typeof accessKeyId !== 'string' ||
    typeof secretAccessKey !== 'string' ||
    accessKeyId === '' ||
    secretAccessKey === ''
  ) {
    throw new AppError('corrupt.record', `${path} holds no accessKeyId and secretAccessKey`);
  }
  return { accessKeyId, secretAccessKey };
}
