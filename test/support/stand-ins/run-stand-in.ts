import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

/** What a test tells a stand-in through the environment, as JSON by the worker's name. */
export interface StandInScript {
  /** Ends with this error instead of becoming ready. */
  readonly failWith?: { readonly code: string; readonly message: string };
  /** Says when it stopped, one name a line. */
  readonly journal?: string;
}

/**
 * Takes a worker's place in tests of the stack: keeps the contract with the supervisor (ready or failed, SIGTERM, end of
 * the channel), and answers its environment where the api would listen.
 */
export async function runStandIn(name: 'janitor' | 'intake' | 'analysis' | 'api'): Promise<void> {
  const script = JSON.parse(process.env[`STAND_IN_${name.toUpperCase()}`] ?? '{}') as StandInScript;
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => {
    if (script.journal !== undefined) appendFileSync(script.journal, `${name}\n`);
    process.exit(0);
  });
  if (script.failWith !== undefined) {
    const error = { ...script.failWith, details: null, param: null };
    process.send?.({ type: 'failed', error }, () => process.exit(2));
    return;
  }
  if (name === 'api') await listen();
  const engine = name === 'analysis' ? spawnEngine() : undefined;
  process.send?.({ type: 'ready', ...(engine?.pid === undefined ? {} : { pids: { engine: engine.pid } }) });
  setInterval(() => undefined, 60_000);
}

/** A process of the worker's own, as the engine is. */
function spawnEngine(): ChildProcess {
  const script = 'process.on("disconnect", () => process.exit(0)); setInterval(() => {}, 1000)';
  return spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
}

async function listen(): Promise<void> {
  const server = createServer((_request, response) => response.end(JSON.stringify(process.env)));
  const { QUIRE_API_HOST: host, QUIRE_API_PORT: port } = process.env as Record<string, string>;
  await new Promise<void>((resolve) => server.listen(Number(port), host, resolve));
}
