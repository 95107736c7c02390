import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './setup-run.mjs';

/** How to run apt-get as root; undefined elsewhere than on Debian and Ubuntu, and when that would need a password. */
export function findApt(env) {
  if (!isDebianLike(env)) return undefined;
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=300'];
  const settings = ['DEBIAN_FRONTEND=noninteractive', 'NEEDRESTART_MODE=l'];
  if (process.getuid?.() === 0) return (args) => run('env', [...settings, 'apt-get', ...options, ...args]);
  if (run('sudo', ['-n', 'true']).failed !== null) return undefined;
  return (args) => run('sudo', ['-n', 'env', ...settings, 'apt-get', ...options, ...args]);
}

function isDebianLike(env) {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    const isListed = /^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b/m.test(text);
    return isListed && findExecutable('apt-get', env.PATH ?? '') !== undefined;
  } catch {
    return false;
  }
}

export function findExecutable(file, searchPath) {
  return searchPath
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => join(dir, file))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
