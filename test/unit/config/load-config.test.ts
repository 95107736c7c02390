import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultPageMemory } from '../../../src/config/engine-config.ts';
import { loadConfig } from '../../../src/config/index.ts';

describe('loadConfig', () => {
  it('has a default for everything', () => {
    const config = loadConfig({});
    expect(config.api).toEqual({ host: '127.0.0.1', port: 8080, keys: null });
    expect(config.limits).toEqual({ maxFileBytes: 512 * 2 ** 20, maxLines: 50_000, maxLineBytes: 2 ** 20 });
    expect(config.analysis).toMatchObject({ lockMs: 5_000, stalledMs: 2_000 });
  });

  it('keeps pages beside the other data, unless the disk has no budget', () => {
    const gibibyte = 2 ** 30;
    expect(loadConfig({ QUIRE_DATA_DIR: 'here' }).engine).toMatchObject({
      reproducible: true,
      maxSequences: 64,
      prefillTokens: 256,
      draftTokens: 8,
      pageDisk: { folder: resolve('here/pages'), budgetBytes: 4 * gibibyte },
    });
    expect(loadConfig({ QUIRE_PAGE_DIR: '/fast', QUIRE_PAGE_DISK_BYTES: '7' }).engine.pageDisk).toEqual({
      folder: resolve('/fast'),
      budgetBytes: 7,
    });
    expect(
      loadConfig({ QUIRE_PAGE_DISK_BYTES: '0', QUIRE_REPRODUCIBLE: 'false', QUIRE_DRAFT_TOKENS: '0' }).engine,
    ).toMatchObject({
      reproducible: false,
      draftTokens: 0,
      pageDisk: null,
    });
    expect(loadConfig({}).engine.provider).toBe('cpu');
    expect(loadConfig({ QUIRE_PROVIDER: 'cuda', QUIRE_REPRODUCIBLE: 'false' }).engine.provider).toBe('cuda');
  });

  it('gives pages a quarter of a small machine and 1 GiB of a large one', () => {
    const gibibyte = 2 ** 30;
    expect(defaultPageMemory(2 * gibibyte)).toBe(gibibyte / 2);
    expect(defaultPageMemory(64 * gibibyte)).toBe(gibibyte);
    expect(loadConfig({}).engine.pageMemoryBytes).toBeLessThanOrEqual(gibibyte);
    expect(loadConfig({ QUIRE_PAGE_MEMORY_BYTES: '2147483648' }).engine.pageMemoryBytes).toBe(2 * gibibyte);
  });

  it('asks for spot notices only where it is told to, and only on this machine or its link', () => {
    const read = (url: string) => loadConfig({ QUIRE_SPOT_NOTICE_URL: url }).analysis.spotNoticeUrl;
    expect(read('')).toBeNull();
    for (const url of [
      'http://169.254.169.254/latest/meta-data/spot/instance-action',
      'http://localhost:1338/latest',
      'http://127.0.0.1/a',
      'http://[::1]:80/a',
      'http://[fe80::1]/a',
    ]) {
      expect(read(url)).toBe(new URL(url).href);
    }
    for (const url of [
      'http://10.0.0.1/a',
      'http://169.254.169.254.evil.example/a',
      'http://localhost.evil.example/a',
      'http://[::ffff:10.0.0.1]/a',
      'http://[fec0::1]/a',
      'http://user:secret@127.0.0.1/a',
      'https://127.0.0.1/a',
      'file:///etc/passwd',
      'not a url',
    ]) {
      expect(() => read(url)).toThrow('QUIRE_SPOT_NOTICE_URL must be http://');
    }
  });

  it('splits API keys', () => {
    expect(loadConfig({ QUIRE_API_KEY: 'a, b,', QUIRE_API_HOST: '0.0.0.0' }).api.keys).toEqual(['a', 'b']);
  });

  it.each([
    [{ QUIRE_API_PORT: '80a' }, /QUIRE_API_PORT must be an integer from 0 to 65535, not "80a"/],
    [{ QUIRE_THREADS: '7' }, /QUIRE_THREADS must be an integer from 1 to 6, not "7"/],
    [{ QUIRE_REPRODUCIBLE: 'yes' }, /QUIRE_REPRODUCIBLE must be one of true, false, not "yes"/],
    [{ QUIRE_PAGE_DISK_BYTES: '-1' }, /QUIRE_PAGE_DISK_BYTES must be an integer from 0 to \d+, not "-1"/],
    [{ QUIRE_PAGE_MEMORY_BYTES: '1GB' }, /QUIRE_PAGE_MEMORY_BYTES must be an integer from 1048576 to \d+, not "1GB"/],
    [{ QUIRE_MAX_SEQUENCES: '0' }, /QUIRE_MAX_SEQUENCES must be an integer from 1 to 1024, not "0"/],
    [{ QUIRE_DRAFT_TOKENS: '33' }, /QUIRE_DRAFT_TOKENS must be an integer from 0 to 32, not "33"/],
    [{ QUIRE_PREFILL_TOKENS: '1.5' }, /QUIRE_PREFILL_TOKENS must be an integer from 1 to 65536, not "1.5"/],
    [{ QUIRE_PRECISION: 'int8' }, /QUIRE_PRECISION must be one of int4, full, not "int8"/],
    [{ QUIRE_PROVIDER: 'gpu' }, /QUIRE_PROVIDER must be one of cpu, webgpu, cuda, not "gpu"/],
    [{ QUIRE_PROVIDER: 'webgpu' }, /QUIRE_PROVIDER is webgpu, .* set QUIRE_REPRODUCIBLE=false/],
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

describe('webhooks', () => {
  it('are off, or have a secret', () => {
    expect(loadConfig({}).webhooks).toEqual({ url: null, secret: null, allow: [] });
    const given = {
      QUIRE_WEBHOOK_ALLOW: 'a.example.com, *.b.org,127.0.0.1:9000,[::1]:80',
      QUIRE_WEBHOOK_SECRET: 'whsec_x',
    };
    expect(loadConfig(given).webhooks.allow).toEqual(['a.example.com', '*.b.org', '127.0.0.1:9000', '[::1]:80']);
  });

  it.each([
    [{ QUIRE_WEBHOOK_URL: 'https://a.example.com/' }, /QUIRE_WEBHOOK_SECRET/],
    [{ QUIRE_WEBHOOK_URL: 'file:///etc/passwd', QUIRE_WEBHOOK_SECRET: 'whsec_x' }, /QUIRE_WEBHOOK_URL/],
    [{ QUIRE_WEBHOOK_ALLOW: 'https://a.example.com/', QUIRE_WEBHOOK_SECRET: 'whsec_x' }, /QUIRE_WEBHOOK_ALLOW/],
    [{ QUIRE_WEBHOOK_ALLOW: 'a.*.com', QUIRE_WEBHOOK_SECRET: 'whsec_x' }, /a\.\*\.com/],
    [{ QUIRE_LINE_DEATHS: '0' }, /QUIRE_LINE_DEATHS/],
  ])('rejects %j', (variables, message) => {
    expect(() => loadConfig(variables)).toThrow(message);
  });
});
