import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface EntryCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * How to start one of our entry points, given without its extension, absolute or relative to this folder: plain `node`, with tsx as
 * import hook where the sources run uncompiled. No wrapper process stands between, so a kill reaches the child itself.
 */
export function planEntryCommand(entry: string, args: readonly string[] = []): EntryCommand {
  const uncompiled = import.meta.url.endsWith('.ts');
  const extension = uncompiled ? '.ts' : '.js';
  const base = isAbsolute(entry) ? entry : fileURLToPath(new URL(entry, import.meta.url));
  // resolved here: node would look the name up from the working directory, which is the user's
  const tsx = uncompiled ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href] : [];
  return { command: process.execPath, args: ['--enable-source-maps', ...tsx, `${base}${extension}`, ...args] };
}
