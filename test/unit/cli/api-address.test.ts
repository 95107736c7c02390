import { describe, expect, it } from 'vitest';
import { findApiAccess } from '../../../src/cli/api-address.ts';
import { loadConfig } from '../../../src/config/index.ts';

const find = (options: { api?: string; dataDir?: string }, variables: Record<string, string> = {}) =>
  findApiAccess(options, loadConfig({ QUIRE_DATA_DIR: '/nonexistent/quire', ...variables }));

describe('findApiAccess', () => {
  it('takes the option, else the variable, else this machine', () => {
    const variables = { QUIRE_API_URL: 'http://one:1', QUIRE_API_PORT: '81' };
    expect(find({ api: 'https://two:2' }, variables).url).toBe('https://two:2');
    expect(find({}, variables).url).toBe('http://one:1');
    expect(find({}, { QUIRE_API_PORT: '81' }).url).toBe('http://127.0.0.1:81');
    expect(find({}, { QUIRE_API_PORT: '0' }).url).toBe('http://127.0.0.1:8080');
  });

  it('takes the form with /v1 that clients of OpenAI use, and keeps other paths', () => {
    expect(find({ api: 'http://one:1/v1/' }).url).toBe('http://one:1');
    expect(find({ api: 'http://one/quire/v1' }).url).toBe('http://one/quire');
  });

  it('sends the first key', () => {
    expect(find({}, { QUIRE_API_KEY: 'a,b' }).key).toBe('a');
    expect(find({}).key).toBeNull();
  });

  it.each(['localhost:8080', '8080', 'ftp://x', ''])('refuses %j', (api) => {
    expect(() => find({ api })).toThrow(/must look like http:\/\/127.0.0.1:8080/);
  });

  it('refuses a variable that is no address, by name', () => {
    expect(() => find({}, { QUIRE_API_URL: 'one:1' })).toThrow(/QUIRE_API_URL must start with http/);
  });
});
