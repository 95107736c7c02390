/**
 * Makes a fresh checkout able to run: node packages from the lock file, and a Redis server.
 * Plain JavaScript without packages, because it runs before there are any. Quick when there is nothing to do.
 *
 *   node src/local/setup.mjs [--infra] [--webgpu]
 *     --infra   also the packages under infra/, which have a lock of their own
 *     --webgpu  also a Vulkan driver for tests, where apt-get has one
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages } from './setup-packages.mjs';
import { ensureRedis } from './setup-redis.mjs';
import { SetupError, say } from './setup-run.mjs';
import { ensureWebgpu } from './setup-webgpu.mjs';

const oldestNode = [20, 19];

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  throw new SetupError(`quire needs node ${oldestNode.join('.')} or newer, this is ${process.versions.node}`);
}

function parseArguments(args) {
  const unknown = args.find((arg) => arg !== '--infra' && arg !== '--webgpu');
  if (unknown !== undefined) throw new SetupError(`unknown argument ${unknown}, allowed: --infra, --webgpu`);
  return { infra: args.includes('--infra'), webgpu: args.includes('--webgpu') };
}

try {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  const { infra, webgpu } = parseArguments(process.argv.slice(2));
  checkNode();
  ensurePackages(root, { label: '' });
  if (infra) ensurePackages(join(root, 'infra'), { label: ' of infra', optional: true });
  ensureRedis(process.env);
  if (webgpu) ensureWebgpu(process.env);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 2;
}
