import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('../../support/embedded-s3-child.ts', import.meta.url));

/** The embedded S3 server as a process that can be killed, frozen and started again on its port and data. */
export class ObjectServer {
  readonly #dataDir: string;
  #child: ChildProcess;
  port: number;

  private constructor(dataDir: string, child: ChildProcess, port: number) {
    this.#dataDir = dataDir;
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<ObjectServer> {
    const dataDir = await mkdtemp(join(tmpdir(), 'quire-chaos-s3-'));
    const { child, port } = await spawnServer(dataDir, 0);
    return new ObjectServer(dataDir, child, port);
  }

  get pid(): number {
    return this.#child.pid ?? Number.NaN;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#child = (await spawnServer(this.#dataDir, this.port)).child;
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}

async function spawnServer(dataDir: string, port: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, ['--import', 'tsx', entry, dataDir, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const said = once(child.stdout, 'data').then(([line]) => Number(new URL(String(line).trim()).port));
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the object server ended with code ${code}`);
  });
  ended.catch(() => {});
  return { child, port: await Promise.race([said, ended]) };
}
