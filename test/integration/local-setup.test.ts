import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRedisServer } from '../../src/local/find-redis-server.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

const sources = fileURLToPath(new URL('../../src/local/', import.meta.url));
const isDebianLike =
  existsSync('/etc/os-release') &&
  /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let root: string;
let bin: string;

/** A checkout with the setup in it, and a PATH that holds nothing but what a test puts there. */
beforeEach(async () => {
  folder = await openTemporaryFolder('setup');
  root = join(folder.path, 'checkout');
  bin = join(folder.path, 'bin');
  mkdirSync(join(root, 'src', 'local'), { recursive: true });
  mkdirSync(bin);
  for (const file of readdirSync(sources).filter((name) => name.endsWith('.mjs'))) {
    cpSync(join(sources, file), join(root, 'src', 'local', file));
  }
  writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'checkout', version: '1.0.0', private: true }));
  writeLock({});
  for (const tool of ['env', 'sh']) symlinkSync(`/usr/bin/${tool}`, join(bin, tool));
});

afterEach(() => folder.remove());

function writeLock(packages: Record<string, unknown>, dir = root): void {
  const lock = { name: 'checkout', version: '1.0.0', lockfileVersion: 3, requires: true };
  const own = { '': { name: 'checkout', version: '1.0.0' }, ...packages };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'package-lock.json'), JSON.stringify({ ...lock, packages: own }));
}

function stub(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** An npm that writes down how it was called and leaves npm's own record of what the lock says. */
function stubNpm(then = ''): void {
  const record = 'mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json';
  // a shell without PATH still needs these three
  const tools = 'PATH=/usr/bin:/bin';
  stub('npm', `${tools}; echo "$PWD: $*" >> ${join(folder.path, 'npm.log')}; ${then === '' ? record : then}`);
}

function calls(of: string): readonly string[] {
  const path = join(folder.path, `${of}.log`);
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

function setup(args: readonly string[] = [], env: Record<string, string> = { REDIS_URL: 'redis://somewhere' }) {
  const script = join(root, 'src', 'local', 'setup.mjs');
  const result = spawnSync(process.execPath, [script, ...args], { env: { PATH: bin, ...env }, encoding: 'utf8' });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** The real server under another name, as packages ship it. */
function linkRedis(name: string): void {
  const found = findRedisServer();
  if (found === undefined) throw new Error('these tests need a redis-server on PATH');
  symlinkSync(realpathSync(found.command), join(bin, name));
}

describe('setup: node packages', () => {
  it('installs from the lock once, saying so on stderr, and is silent afterwards', () => {
    stubNpm();
    const first = setup();
    expect(first).toMatchObject({ code: 0, stdout: '' });
    expect(first.stderr).toMatch(/^setup: installing the node packages from package-lock.json/);
    expect(setup()).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(calls('npm')).toHaveLength(1);
    expect(calls('npm')[0]).toContain(`${root}: ci --prefix ${root}`);
  });

  it('installs again when the lock has changed, or the folder came from another platform', () => {
    stubNpm();
    setup();
    writeLock({ 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } });
    expect(setup().stderr).toContain('installing');
    const stamp = join(root, 'node_modules', '.quire-lock');
    writeFileSync(stamp, readFileSync(stamp, 'utf8').replace(process.platform, 'plan9'));
    rmSync(join(root, 'node_modules', '.package-lock.json'));
    expect(setup().stderr).toContain('installing');
    expect(calls('npm')).toHaveLength(3);
  });

  it('accepts what npm itself installed, without the packages for other platforms', () => {
    stubNpm();
    const installed = { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } };
    writeLock({
      ...installed,
      'node_modules/a-other': { version: '1.0.0', optional: true, os: ['plan9'] },
      'node_modules/of-a-other': { version: '1.0.0', optional: true },
    });
    mkdirSync(join(root, 'node_modules'));
    const record = join(root, 'node_modules', '.package-lock.json');
    writeFileSync(record, JSON.stringify({ packages: installed }));
    expect(setup()).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(calls('npm')).toEqual([]);
  });

  it.each([
    ['a package is missing', { 'node_modules/b': { version: '1.0.0' } }],
    [
      'a package is missing that this platform needs',
      { 'node_modules/b': { version: '1.0.0', optional: true, os: [process.platform] } },
    ],
    ['a version differs', { 'node_modules/a': { version: '2.0.0', integrity: 'sha512-a' } }],
    ['a digest differs', { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-b' } }],
  ])('installs when %s', (_case, change) => {
    stubNpm();
    const installed = { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } };
    writeLock({ ...installed, ...change });
    mkdirSync(join(root, 'node_modules'));
    writeFileSync(join(root, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }));
    setup();
    expect(calls('npm')).toHaveLength(1);
  });

  it('installs infra only when asked, from its own lock', () => {
    stubNpm();
    expect(setup(['--infra']).code).toBe(0);
    const infra = join(root, 'infra');
    writeLock({}, infra);
    setup();
    expect(calls('npm')).toHaveLength(1);
    expect(setup(['--infra']).stderr).toContain('node packages of infra');
    expect(calls('npm')[1]).toContain(`${infra}: ci --prefix ${infra}`);
  });

  it('works with the npm of this machine', () => {
    mkdirSync(join(root, 'local-package'));
    writeFileSync(join(root, 'local-package', 'package.json'), JSON.stringify({ name: 'local', version: '1.0.0' }));
    writeFileSync(
      join(root, 'package.json'),
      JSON.stringify({ name: 'checkout', version: '1.0.0', dependencies: { local: 'file:local-package' } }),
    );
    writeLock({
      '': { name: 'checkout', version: '1.0.0', dependencies: { local: 'file:local-package' } },
      'local-package': { name: 'local', version: '1.0.0' },
      'node_modules/local': { resolved: 'local-package', link: true },
    });
    const first = setup([], { PATH: String(process.env['PATH']), HOME: folder.path, REDIS_URL: 'redis://somewhere' });
    expect(first.stderr).toMatch(/^setup: installing[^\n]*\n$/);
    expect(first.code).toBe(0);
    expect(existsSync(join(root, 'node_modules', 'local', 'package.json'))).toBe(true);
    expect(setup()).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('repeats why npm failed, without the addresses it tried, and leaves no stamp', () => {
    stubNpm(`echo "npm error code ENOTFOUND" >&2
      echo "npm error request to https://mirror.example.org:8443/a.tgz?token=s failed, reason: getaddrinfo ENOTFOUND mirror.example.org" >&2
      exit 1`);
    const { code, stderr } = setup();
    expect(code).toBe(2);
    expect(stderr).toContain('npm ci could not install the node packages: exit code 1');
    expect(stderr).toContain('ENOTFOUND');
    expect(stderr).not.toContain('example.org');
    expect(stderr).not.toContain('token');
    expect(existsSync(join(root, 'node_modules', '.quire-lock'))).toBe(false);
  });

  it('rejects an incomplete checkout and an unknown argument', () => {
    expect(setup(['--everything'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--everything') });
    rmSync(join(root, 'package-lock.json'));
    expect(setup()).toMatchObject({ code: 2, stderr: expect.stringContaining('no package-lock.json') });
  });
});

describe('setup: redis', () => {
  beforeEach(() => stubNpm());

  it.each([
    ['nothing', () => undefined, false],
    ['redis-server', () => linkRedis('redis-server'), true],
    ['valkey-server', () => linkRedis('valkey-server'), true],
    ['the binary in the tools package', () => linkRedis('redis-check-rdb'), true],
    ['a checking tool that is no server', () => stub('redis-check-rdb', 'echo "redis-check-rdb 7"'), false],
  ])('agrees with the launcher about a PATH with %s', (_case, arrange, expected) => {
    arrange();
    expect(findRedisServer(bin) !== undefined).toBe(expected);
    const { code, stderr } = setup([], {});
    expect(code).toBe(expected ? 0 : 2);
    if (!expected) expect(stderr).toContain('no redis-server or valkey-server found; install redis');
  });

  it.runIf(isDebianLike)('installs the tools with apt-get, as root or through sudo, and enables no service', () => {
    const real = realpathSync(findRedisServer()?.command ?? '');
    stub('sudo', 'shift; [ "$1" = true ] || exec "$@"');
    const install = `PATH=/usr/bin:/bin ln -s ${real} ${join(bin, 'redis-check-rdb')}`;
    stub('apt-get', `echo "$*" >> ${join(folder.path, 'apt.log')}; case "$*" in *install*) ${install};; esac`);
    const { code, stderr } = setup([], {});
    expect(code).toBe(0);
    expect(stderr).toContain('installing the package redis-tools with apt-get (no service is enabled or started)');
    expect(calls('apt').map((line) => line.replace(/^-qq -o \S+ /, ''))).toEqual([
      'update',
      'install --yes --no-install-recommends redis-tools',
    ]);
  });

  it.runIf(isDebianLike)('says why apt-get failed, and how to go on, in the end', () => {
    stub('sudo', 'shift; [ "$1" = true ] || exec "$@"');
    stub('apt-get', 'echo "E: Unable to locate package" >&2; exit 100');
    const { code, stderr } = setup([], {});
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /could not install a redis server \(exit code 100\nE: Unable to locate package\); install redis/,
    );
  });
});

describe('setup: webgpu', () => {
  const hasDriver = existsSync('/usr/lib/chromium/vk_swiftshader_icd.json');

  beforeEach(() => {
    stubNpm();
    stub('sudo', 'shift; [ "$1" = true ] || exec "$@"');
    stub('apt-get', `echo "$*" >> ${join(folder.path, 'apt.log')}; echo "E: Unable to locate package" >&2; exit 100`);
  });

  it.runIf(isDebianLike && !hasDriver)('asks apt-get for a Vulkan driver, and goes on without one', () => {
    const { code, stderr } = setup(['--webgpu']);
    expect(code).toBe(0);
    expect(calls('apt').map((line) => line.replace(/^-qq -o \S+ /, ''))).toEqual([
      'update',
      'install --yes --no-install-recommends chromium-common libvulkan1',
    ]);
    expect(stderr).toMatch(/tests of webgpu are skipped: exit code 100\nE: Unable to locate package/);
  });

  it('installs none beside one that is named, nor unasked', () => {
    expect(setup(['--webgpu'], { REDIS_URL: 'redis://somewhere', VK_ICD_FILENAMES: '/a.json' }).code).toBe(0);
    expect(setup().code).toBe(0);
    expect(calls('apt')).toEqual([]);
  });
});

describe('prune-runtime', () => {
  it('keeps the binaries of this machine alone, and does not mind when there are none', () => {
    const script = join(root, 'src', 'local', 'prune-runtime.mjs');
    const prune = () => spawnSync(process.execPath, [script], { encoding: 'utf8' });
    expect(prune()).toMatchObject({ status: 0, stderr: '' });
    const napi = join(root, 'node_modules', 'onnxruntime-node', 'bin', 'napi-v6');
    const here = join(process.platform, process.arch);
    for (const path of [here, join(process.platform, 'mips'), join('plan9', 'x64')]) {
      mkdirSync(join(napi, path), { recursive: true });
      writeFileSync(join(napi, path, 'lib.so'), '');
    }
    expect(prune()).toMatchObject({ status: 0, stderr: '' });
    expect(readdirSync(napi)).toEqual([process.platform]);
    expect(readdirSync(join(napi, process.platform))).toEqual([process.arch]);
    expect(existsSync(join(napi, here, 'lib.so'))).toBe(true);
  });
});
