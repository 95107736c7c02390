import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { loadJson, savePrivateJson, savePrivateText } from './private-file.ts';

/** What `<data folder>/stack.json` remembers of the last start: the next finds the same data under the same addresses. */
export interface StackState {
  readonly redisPort: number;
  readonly s3Port: number;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Where the api of the last start listened; commands on the same folder find it by this. */
  readonly apiUrl: string;
}

const currentVersion = 1;

/** Undefined before the first start. @throws `corrupt.record`, `corrupt.version` */
export function findStackState(dataDir: string): StackState | undefined {
  const path = pathOf(dataDir);
  const value = loadJson(path);
  if (value === undefined) return undefined;
  const { version, redisPort, s3Port, region, bucket, accessKeyId, secretAccessKey, apiUrl } = value as Record<
    string,
    unknown
  >;
  if (version !== currentVersion) {
    throw new AppError('corrupt.version', `${path} has version ${String(version)}, known is ${currentVersion}`);
  }
  const texts = [region, bucket, accessKeyId, secretAccessKey, apiUrl];
  const isWhole =
    [redisPort, s3Port].every(Number.isInteger) && texts.every((text) => typeof text === 'string' && text !== '');
  if (!isWhole) throw new AppError('corrupt.record', `${path} is not the record of a local stack`);
  return value as StackState;
}

/** Where the api of the folder's last start listens or listened; undefined before the first. */
export function findApiUrl(dataDir: string): string | undefined {
  return findStackState(dataDir)?.apiUrl;
}

export function saveStackState(dataDir: string, state: StackState): void {
  savePrivateJson(pathOf(dataDir), { version: currentVersion, ...state });
  savePrivateText(join(dataDir, 'aws-credentials'), awsCredentialsOf(state));
}

/** The bucket's keys in the form that AWS tools read from `AWS_SHARED_CREDENTIALS_FILE`. */
function awsCredentialsOf({ accessKeyId, secretAccessKey, region }: StackState): string {
  return `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\nregion = ${region}\n`;
}

/** Where the embedded S3 server keeps its buckets; that folder is the server's alone. */
export function s3DirOf(dataDir: string): string {
  return join(dataDir, 's3');
}

export function newSecret(): string {
  return randomBytes(20).toString('hex');
}

function pathOf(dataDir: string): string {
  return join(dataDir, 'stack.json');
}
