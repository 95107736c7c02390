import pino from 'pino';
import type { Logger } from '../../src/base/log.ts';
import type { Config } from '../../src/config/index.ts';

/** JSON lines on stderr: stdout stays for answers. Secrets have no field to be in; URLs with passwords are never logged. */
export function openLogger(process_: string, level: Config['logLevel']): Logger {
  const options = { level, base: { process: process_, pid: process.pid } };
  return pino(options, pino.destination({ dest: 2, sync: true }));
}
