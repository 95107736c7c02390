import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadRedisRecord, saveRedisRecord } from '../../../src/local/redis-record.ts';
import { findStackState, saveStackState } from '../../../src/local/stack-state.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeEach(async () => {
  folder = await openTemporaryFolder('records');
});

afterEach(() => folder.remove());

const state = {
  redisPort: 20_001,
  s3Port: 20_002,
  region: 'us-east-1',
  bucket: 'quire',
  accessKeyId: 'quire',
  secretAccessKey: 'secret',
  apiUrl: 'http://127.0.0.1:8080',
};

describe('stack.json', () => {
  it('comes back as it was saved, readable by its owner alone', () => {
    expect(findStackState(folder.path)).toBeUndefined();
    saveStackState(folder.path, state);
    expect(findStackState(folder.path)).toMatchObject(state);
    expect(statSync(join(folder.path, 'stack.json')).mode & 0o777).toBe(0o600);
    const credentials = join(folder.path, 'aws-credentials');
    expect(readFileSync(credentials, 'utf8')).toBe(
      '[default]\naws_access_key_id = quire\naws_secret_access_key = secret\nregion = us-east-1\n',
    );
    expect(statSync(credentials).mode & 0o777).toBe(0o600);
  });

  it('rejects an unknown version, missing fields and broken text by name', () => {
    const path = join(folder.path, 'stack.json');
    writeFileSync(path, JSON.stringify({ version: 2, ...state }));
    expect(() => findStackState(folder.path)).toThrow(expect.objectContaining({ code: 'corrupt.version' }));
    writeFileSync(path, JSON.stringify({ version: 1, ...state, bucket: '' }));
    expect(() => findStackState(folder.path)).toThrow(expect.objectContaining({ code: 'corrupt.record' }));
    writeFileSync(path, '{"version":1,');
    expect(() => findStackState(folder.path)).toThrow(expect.objectContaining({ code: 'corrupt.record' }));
  });
});

describe("the redis folder's record", () => {
  it('makes a password once and keeps it', () => {
    const fresh = loadRedisRecord(folder.path);
    expect(fresh.password).toMatch(/^[0-9a-f]{48}$/);
    expect(loadRedisRecord(folder.path).password).not.toBe(fresh.password);
    saveRedisRecord(folder.path, { ...fresh, port: 20_003 });
    expect(loadRedisRecord(folder.path)).toEqual({ ...fresh, port: 20_003 });
    expect(statSync(join(folder.path, 'server.json')).mode & 0o777).toBe(0o600);
  });

  it('rejects a password that would be more than one word of the protocol', () => {
    const path = join(folder.path, 'server.json');
    mkdirSync(folder.path, { recursive: true });
    saveRedisRecord(folder.path, { port: null, password: 'a\r\nFLUSHALL', server: null });
    expect(readFileSync(path, 'utf8')).toContain('FLUSHALL');
    expect(() => loadRedisRecord(folder.path)).toThrow(expect.objectContaining({ code: 'corrupt.record' }));
  });
});
