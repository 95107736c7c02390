import type { LogFields, Logger } from '../base/log.ts';

/** pino's numbers, so that the lines of all processes sort and filter alike. */
const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const;

type Level = keyof typeof levels;

/** One JSON line a call, to stderr. For the small processes of the local stack, which load no logging package. */
export function buildLineLogger(name: string, least: string = 'info'): Logger {
  const leastLevel = Object.hasOwn(levels, least) ? levels[least as Level] : levels.info;
  const at =
    (level: Level) =>
    (fields: LogFields, message: string): void => {
      if (levels[level] < leastLevel) return;
      const line = { level: levels[level], time: Date.now(), pid: process.pid, name, ...plain(fields), msg: message };
      process.stderr.write(`${JSON.stringify(line)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function plain(fields: LogFields): LogFields {
  const { err } = fields;
  if (!(err instanceof Error)) return fields;
  return { ...fields, err: { type: err.name, message: err.message, stack: err.stack } };
}
