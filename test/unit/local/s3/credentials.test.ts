import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadOrCreateCredentials } from '../../../../src/local/s3/index.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';

describe('loadOrCreateCredentials', () => {
  let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
  let path = '';
  beforeEach(async () => {
    folder = await openTemporaryFolder('credentials');
    path = join(folder.path, 'credentials.json');
  });
  afterEach(() => folder.remove());

  it('makes them once, readable by the owner only, and then keeps them', () => {
    const made = loadOrCreateCredentials(path);
    expect(loadOrCreateCredentials(path)).toEqual(made);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(made.secretAccessKey.length).toBeGreaterThanOrEqual(40);
    expect(loadOrCreateCredentials(`${path}.other`)).not.toEqual(made);
  });

  it('rejects a file that is something else', () => {
    for (const text of [
      '',
      'no json',
      '{"version":1}',
      '{"version":1,"accessKeyId":"a","secretAccessKey":""}',
      'null',
      '{"version":2}',
    ]) {
      writeFileSync(path, text);
      expect(() => loadOrCreateCredentials(path), text).toThrow(expect.objectContaining({ family: 'corrupt' }));
    }
  });
});
