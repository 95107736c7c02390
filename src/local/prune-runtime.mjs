/**
 * Deletes what ONNX Runtime ships for other operating systems and processors: 240 of its 290 MB.
 * Runs after every install of the root package, and must never be the reason why one fails.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders `bin/napi-v<n>/<os>/<arch>`; this machine's own stays. */
function pruneRuntime(root) {
  const bin = join(root, 'node_modules', 'onnxruntime-node', 'bin');
  for (const napi of foldersIn(bin)) {
    for (const os of foldersIn(join(bin, napi))) {
      for (const arch of foldersIn(join(bin, napi, os))) {
        if (os === process.platform && arch === process.arch) continue;
        rmSync(join(bin, napi, os, arch), { recursive: true, force: true });
      }
      if (os !== process.platform) rmSync(join(bin, napi, os), { recursive: true, force: true });
    }
  }
}

function foldersIn(path) {
  if (!existsSync(path)) return [];
  const entries = readdirSync(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

try {
  pruneRuntime(join(dirname(fileURLToPath(import.meta.url)), '..', '..'));
} catch (error) {
  console.error(`other platforms' binaries of onnxruntime-node stay: ${error.message}`);
}
