import { createRequire } from 'node:module';
import { describeModel } from '../../engine/index.ts';
import { type Check, fail, ok, runCheck, warn } from './check.ts';

/** @param minimum as in package.json's engines, for example `20.19` */
export function checkNode(version: string, minimum: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = minimum.split('.').map(Number);
  const isEnough = major > minMajor || (major === minMajor && minor >= minMinor);
  if (isEnough) return ok('node', version);
  return fail('node', `${version} is too old`, `install Node.js ${minimum} or newer`);
}

/** Loads the native runtime, which is what fails when its binary is missing or made for another system. */
export function checkRuntime(): Promise<Check> {
  const todo = 'install the packages again with "npm ci"; binaries exist for Linux, macOS and Windows on x64 and arm64';
  return runCheck('onnxruntime', todo, async () => {
    await import('../../engine/host.ts');
    const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
    return ok('onnxruntime', `onnxruntime-node ${version} loads`);
  });
}

export function checkModel(modelDir: string): Promise<Check> {
  const todo = 'name a model folder in Hugging Face layout with QUIRE_MODEL_DIR; "quire model verify DIR" tests one';
  return runCheck('model', todo, async () => {
    const { id, parameters, contextTokens, notice } = await describeModel(modelDir);
    const found = `${id} in ${modelDir}: ${(parameters / 1e6).toFixed(1)} million parameters, window ${contextTokens} tokens`;
    return notice === null ? ok('model', found) : warn('model', found, notice);
  });
}
