import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction, constants } from 'node:vm';
import type * as XGrammar from '@mlc-ai/web-xgrammar';

let loaded: typeof XGrammar | undefined;

/**
 * The grammar library. Its package says it holds ES modules while its file is a UMD script, so Node's own loaders refuse
 * it; here the file is compiled as the function it is.
 */
export function loadXGrammar(): typeof XGrammar {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const path = require.resolve('@mlc-ai/web-xgrammar');
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname'];
  const run = compileFunction(readFileSync(path, 'utf8'), parameters, {
    filename: path,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} };
  run(module.exports, require, module, path, path);
  loaded = module.exports as typeof XGrammar;
  return loaded;
}
