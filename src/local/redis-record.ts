import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { loadJson, savePrivateJson } from './private-file.ts';
import { type ProcessIdentity, parseProcessIdentity } from './process-identity.ts';

/** What the data folder remembers of its Redis, so that a restart has the same address and an orphan is recognised. */
export interface RedisRecord {
  /** null before the first start. */
  readonly port: number | null;
  readonly password: string;
  /** The server last started here, dead or alive. */
  readonly server: ProcessIdentity | null;
}

const currentVersion = 1;

/** Where the private Redis of a data folder keeps its files. */
export function redisDirOf(dataDir: string): string {
  return join(resolve(dataDir), 'redis');
}

/** A fresh record with a new password when there is none yet. @throws `corrupt.record`, `corrupt.version` */
export function loadRedisRecord(dir: string): RedisRecord {
  const path = pathOf(dir);
  const value = loadJson(path);
  if (value === undefined) return { port: null, password: randomBytes(24).toString('hex'), server: null };
  const { version, port, password, server } = value as Record<string, unknown>;
  if (version !== currentVersion) {
    throw new AppError('corrupt.version', `${path} has version ${String(version)}, known is ${currentVersion}`);
  }
  // the password becomes part of a command line of the Redis protocol, so nothing but its own alphabet passes
  if ((port !== null && !Number.isInteger(port)) || typeof password !== 'string' || !/^[0-9a-f]{48}$/.test(password)) {
    throw new AppError('corrupt.record', `${path} is not a record of the private redis`);
  }
  return { port: port as number | null, password, server: parseProcessIdentity(server) ?? null };
}

/** Where the private Redis of a data folder listens, or did; undefined before its first start. @throws `corrupt.*` */
export function findRedisUrl(dataDir: string): string | undefined {
  const { port, password } = loadRedisRecord(redisDirOf(dataDir));
  return port === null ? undefined : `redis://:${password}@127.0.0.1:${port}`;
}

export function saveRedisRecord(dir: string, record: RedisRecord): void {
  savePrivateJson(pathOf(dir), { version: currentVersion, ...record });
}

function pathOf(dir: string): string {
  return join(dir, 'server.json');
}
