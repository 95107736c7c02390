import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run, SetupError, say } from './setup-run.mjs';

/**
 * Installs the packages of a folder from its lock file, unless they are there.
 * They are when our stamp of an earlier install matches, or when npm's own record names everything the lock does.
 */
export function ensurePackages(dir, { label, optional = false }) {
  const lockPath = join(dir, 'package-lock.json');
  if (!existsSync(lockPath)) {
    if (optional) return;
    throw new SetupError(`no package-lock.json in ${dir}; the checkout is incomplete`);
  }
  const lockText = readFileSync(lockPath, 'utf8');
  const stamp = stampOf(lockText);
  const stampPath = join(dir, 'node_modules', '.quire-lock');
  if (readIfThere(stampPath) === stamp) return;
  if (!hasInstalled(dir, lockText)) {
    say(`installing the node packages${label} from package-lock.json, this takes a minute or two`);
    installPackages(dir, label);
  }
  writeFileSync(stampPath, stamp);
}

/** Binaries are of one platform: a folder carried to another machine is stale whatever the lock says. */
function stampOf(lockText) {
  return `${createHash('sha256').update(lockText).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/** npm's record of what it put there against what the lock wants; versions and digests must agree, nothing be missing. */
function hasInstalled(dir, lockText) {
  const recordText = readIfThere(join(dir, 'node_modules', '.package-lock.json'));
  if (recordText === undefined) return false;
  const wanted = packagesOf(lockText);
  const installed = packagesOf(recordText);
  const paths = new Set([...Object.keys(wanted), ...Object.keys(installed)].filter((path) => path !== ''));
  return [...paths].every((path) => {
    const [want, have] = [wanted[path], installed[path]];
    if (have === undefined) return want.optional === true && mayBeLeftOut(want);
    return want !== undefined && want.version === have.version && want.integrity === have.integrity;
  });
}

/** npm leaves out optional packages made for other platforms, and what only those need. */
function mayBeLeftOut({ os, cpu, libc }) {
  if (os === undefined && cpu === undefined && libc === undefined) return true;
  return !isForHere({ os, cpu, libc });
}

function isForHere({ os, cpu, libc }) {
  const allows = (list, here) => list === undefined || list.includes(here);
  if (!allows(os, process.platform) || !allows(cpu, process.arch)) return false;
  return libc === undefined || process.platform !== 'linux' || libc.includes(isMusl() ? 'musl' : 'glibc');
}

function isMusl() {
  return process.report.getReport().header.glibcVersionRuntime === undefined;
}

function packagesOf(text) {
  try {
    return JSON.parse(text).packages ?? {};
  } catch {
    return {};
  }
}

function installPackages(dir, label) {
  const { command, args } = npmCommand();
  // the variable is what every npm version and the runtime's own installer understand; --prefix keeps an npm that runs us
  // from handing its own folder on to the one we run
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const flags = [
    'ci',
    '--prefix',
    dir,
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const { failed } = run(command, [...args, ...flags], { cwd: dir, env });
  if (failed !== null) throw new SetupError(`npm ci could not install the node packages${label}: ${failed}`);
}

/** The npm that runs us, else the one on PATH. */
function npmCommand() {
  const running = process.env.npm_execpath;
  if (running !== undefined && basename(running).startsWith('npm-cli')) {
    return { command: process.execPath, args: [running] };
  }
  return { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', args: [] };
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
