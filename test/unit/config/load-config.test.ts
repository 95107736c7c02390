import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/index.ts';

describe('loadConfig', () => {
  it('has a default for everything', () => {
    const config = loadConfig({});
    expect(config.api).toEqual({ host: '127.0.0.1', port: 8080, keys: null });
    expect(config.limits).toEqual({ maxFileBytes: 512 * 2 ** 20, maxLines: 50_000, maxLineBytes: 2 ** 20 });
    expect(config.analysis).toMatchObject({ lockMs: 5_000, stalledMs: 2_000 });
  });

  it('splits API keys', () => {
    expect(loadConfig({ QUIRE_API_KEY: 'a, b,', QUIRE_API_HOST: '0.0.0.0' }).api.keys).toEqual(['a', 'b']);
  });

  it.each([
    [{ QUIRE_API_PORT: '80a' }, /QUIRE_API_PORT must be an integer from 0 to 65535, not "80a"/],
    [{ QUIRE_THREADS: '7' }, /QUIRE_THREADS must be an integer from 1 to 6, not "7"/],
    [{ QUIRE_PRECISION: 'int8' }, /QUIRE_PRECISION must be one of full, not "int8"/],
    [{ QUIRE_API_HOST: '0.0.0.0' }, /binding to 0.0.0.0 needs QUIRE_API_KEY/],
    [{ S3_ACCESS_KEY_ID: 'x' }, /S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY must be given together/],
    [{ QUIRE_LOG_LEVEL: 'loud' }, /QUIRE_LOG_LEVEL must be one of debug, info, warn, error/],
  ])('rejects %j by name', (variables, message) => {
    expect(() => loadConfig(variables)).toThrow(
      expect.objectContaining({ code: 'input.config', message: expect.stringMatching(message) }),
    );
  });

  it('does not repeat a Redis URL, which may hold a password', () => {
    expect(() => loadConfig({ REDIS_URL: 'http://:secret@host' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });
});
