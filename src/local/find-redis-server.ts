import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface RedisServerCommand {
  /** Absolute path of the binary. */
  readonly command: string;
  /** The name to start it under when that is not its own; null: its own. */
  readonly argv0: string | null;
}

/** In order of preference; `src/local/setup.mjs` looks for the same ones before anything is installed. */
const candidates = [
  { file: 'redis-server', argv0: null },
  { file: 'valkey-server', argv0: null },
  // Debian's redis-tools carries the server's binary under this name only: it picks its role by argv[0]
  { file: 'redis-check-rdb', argv0: 'redis-server' },
  { file: 'valkey-check-rdb', argv0: 'valkey-server' },
] as const;

/** The Redis or Valkey server on PATH; undefined when there is none. */
export function findRedisServer(searchPath: string = process.env['PATH'] ?? ''): RedisServerCommand | undefined {
  for (const { file, argv0 } of candidates) {
    const command = findExecutable(file, searchPath);
    if (command !== undefined && (argv0 === null || isServerAs(command, argv0))) return { command, argv0 };
  }
  return undefined;
}

function findExecutable(file: string, searchPath: string): string | undefined {
  for (const dir of searchPath.split(delimiter)) {
    if (dir === '') continue;
    const path = join(dir, file);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here: the next folder
    }
  }
  return undefined;
}

function isServerAs(command: string, argv0: string): boolean {
  const answer = spawnSync(command, ['--version'], { argv0, encoding: 'utf8', timeout: 5_000 });
  return answer.status === 0 && /^(?:redis|valkey) server v=/i.test(answer.stdout);
}
