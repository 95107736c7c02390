import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { type ObjectStore, openS3ObjectStore } from '../../../src/storage/index.ts';
import { testBucket, testCredentials } from '../../support/embedded-store.ts';
import { type Fault, type FaultProxy, openFaultProxy, pass, type SeenRequest } from '../../support/fault-proxy.ts';
import { openPrivateRedis, type PrivateRedis } from '../../support/private-redis.ts';
import { RunningStack } from '../../support/stack-client.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { testModelDir } from '../../support/test-model.ts';
import { askRedis } from './ask-redis.ts';
import { ObjectServer } from './object-server.ts';
import { isProcessWith, processesWith } from './processes-with.ts';
import { RequestLog } from './request-log.ts';
import { until } from './until.ts';

/** Processes of the stack by their name; `redis` and `s3` are the servers under it. */
export type Role = 'api' | 'janitor' | 'intake' | 'analysis' | 'engine' | 'redis' | 's3';

export interface Kill {
  readonly role: Role;
  readonly atMs: number;
  /** Were tokens produced at that moment? */
  readonly wasProducing: boolean;
  /** Engines that end by it, at once or when they notice that their worker has. */
  readonly endingEngines: readonly number[];
}

export interface ChaosStackOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** As `QUIRE_FAILPOINTS`; each plan acts once, whichever process comes there first. */
  readonly failpoints?: string;
}

const workerEntry = (role: string): string => fileURLToPath(new URL(`../../../workers/${role}.ts`, import.meta.url));

/**
 * The product as a user starts it, on a Redis and an object server of its own that can be killed, wiped, frozen and cut
 * off, with every connection to them through a proxy.
 */
export class ChaosStack {
  stack: RunningStack;
  readonly redis: PrivateRedis;
  readonly redisWire: TcpProxy;
  readonly s3: ObjectServer;
  readonly s3Wire: TcpProxy;
  readonly requestLog: RequestLog;
  readonly kills: Kill[] = [];
  /** Straight to the object server, past every fault. */
  readonly store: ObjectStore;
  /** What becomes of each request to the object server. */
  plan: (seen: SeenRequest) => Fault | Promise<Fault> = () => pass;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #faults: FaultProxy;
  readonly #extra = new Set<ChildProcess>();

  private constructor(parts: Parts, stack: RunningStack) {
    this.stack = stack;
    this.redis = parts.redis;
    this.redisWire = parts.redisWire;
    this.s3 = parts.s3;
    this.s3Wire = parts.s3Wire;
    this.requestLog = new RequestLog(join(parts.folder, 'engine.log'));
    this.#folder = parts.folder;
    this.#env = parts.env;
    this.#faults = parts.faults;
    this.store = openS3ObjectStore({
      endpoint: `http://127.0.0.1:${parts.s3.port}`,
      region: 'us-east-1',
      bucket: testBucket,
      ...testCredentials,
    });
    parts.ask.plan = (seen) => this.plan(seen);
  }

  static async start(options: ChaosStackOptions = {}): Promise<ChaosStack> {
    const folder = await mkdtemp(join(tmpdir(), 'quire-chaos-'));
    const onceDir = join(folder, 'failpoints');
    await mkdir(onceDir);
    const [redis, s3] = await Promise.all([openPrivateRedis(), ObjectServer.start()]);
    const ask: Parts['ask'] = { plan: () => pass };
    const faults = await openFaultProxy(`http://127.0.0.1:${s3.port}`, (seen) => ask.plan(seen));
    const [redisWire, s3Wire] = await Promise.all([
      TcpProxy.open(redis.port),
      TcpProxy.open(Number(new URL(faults.endpoint).port)),
    ]);
    const redisUrl = new URL(redis.url);
    redisUrl.port = String(redisWire.port);
    const env = {
      REDIS_URL: redisUrl.href.replace(/\/$/, ''),
      S3_ENDPOINT: `http://127.0.0.1:${s3Wire.port}`,
      S3_BUCKET: testBucket,
      S3_ACCESS_KEY_ID: testCredentials.accessKeyId,
      S3_SECRET_ACCESS_KEY: testCredentials.secretAccessKey,
      QUIRE_MODEL_DIR: testModelDir,
      QUIRE_ENGINE_LOG: join(folder, 'engine.log'),
      QUIRE_FAILPOINT_DIR: onceDir,
      QUIRE_FAILPOINTS: options.failpoints ?? '',
      ...options.env,
    };
    const parts: Parts = { folder, env, redis, redisWire, s3, s3Wire, faults, ask };
    try {
      const stack = await RunningStack.start({ dataDir: join(folder, 'data'), env });
      return new ChaosStack(parts, stack);
    } catch (error) {
      await closeParts(parts);
      throw error;
    }
  }

  /** The stock client, patient enough for an api that starts anew on a busy machine. */
  get client(): OpenAI {
    return new OpenAI({ baseURL: `${this.apiUrl}/v1`, apiKey: 'test', maxRetries: 20 });
  }

  get apiUrl(): string {
    return this.stack.apiUrl;
  }

  /** Where the stack's processes write what they log. */
  get logDir(): string {
    return join(this.#folder, 'data', 'logs');
  }

  pidOf(role: Role): number {
    const pid = this.stack.pids()[role];
    if (pid === undefined) throw new Error(`no process ${role} among ${JSON.stringify(this.stack.pids())}`);
    return pid;
  }

  /** SIGKILL, now; a process that is being started anew this moment is left alone. @returns whether it was alive */
  async kill(role: Role): Promise<boolean> {
    const engine = this.stack.pids()['engine'];
    const endingEngines = (role === 'engine' || role === 'analysis') && engine !== undefined ? [engine] : [];
    const kill = { role, endingEngines, wasProducing: this.requestLog.isProducing(), atMs: Date.now() };
    if (role === 'redis') {
      await this.redis.kill();
      await this.redis.start();
    } else if (role === 's3') await this.s3.restart();
    else if (!this.#signal(role, 'SIGKILL')) return false;
    this.kills.push(kill);
    return true;
  }

  /** Kills, and waits until another of this name is ready. */
  async killAndAwaitNext(role: Exclude<Role, 'redis' | 's3'>): Promise<void> {
    const [from, pid] = [this.stack.events.length, this.pidOf(role)];
    await this.kill(role);
    await this.stack.waitFor((event) => {
      const next = (event['pids'] as Record<string, number> | undefined)?.[role];
      return next !== undefined && next !== pid;
    }, from);
  }

  /** @returns whether there was such a process */
  #signal(role: Role, signal: NodeJS.Signals): boolean {
    const pid = this.pidOf(role);
    if (!isProcessWith(pid, this.#folder)) return false;
    process.kill(pid, signal);
    return true;
  }

  /** SIGSTOP for a while: the process is there and answers nothing. */
  async pause(role: Role, forMs: number): Promise<void> {
    if (role === 'redis') {
      this.redis.freeze();
      await wait(forMs);
      this.redis.thaw();
    } else if (role === 's3') {
      this.s3.signal('SIGSTOP');
      await wait(forMs);
      this.s3.signal('SIGCONT');
    } else {
      const pid = this.pidOf(role);
      process.kill(pid, 'SIGSTOP');
      await wait(forMs);
      process.kill(pid, 'SIGCONT');
    }
  }

  /** Everything in Redis is gone; the server stays. */
  async wipeRedis(): Promise<void> {
    await askRedis(this.redis.url, ['FLUSHALL']);
  }

  /** Everything but the two servers ends as Ctrl-C ends it, stays away for a while, and starts anew on the same data and port. */
  async restartStack(awayMs: number): Promise<void> {
    await this.stack.stop('SIGINT');
    await wait(awayMs);
    const { dataDir, apiUrl } = this.stack;
    this.stack = await RunningStack.start({ dataDir, port: new URL(apiUrl).port, env: { ...this.#env } });
  }

  /** Asks a process to end, as a scheduler of containers does. */
  terminate(role: Exclude<Role, 'redis' | 's3'>): void {
    this.#signal(role, 'SIGTERM');
  }

  /** Has this failpoint acted? */
  hasActed(plan: string): boolean {
    return existsSync(join(this.#folder, 'failpoints', plan));
  }

  /** One more process of a role beside the stack's, under no supervisor. It ends with the stack. */
  async startExtra(role: string, env: Readonly<Record<string, string>> = {}): Promise<ExtraProcess> {
    const child = spawn(process.execPath, ['--import', 'tsx', workerEntry(role)], {
      env: { ...process.env, ...this.#env, QUIRE_DATA_DIR: join(this.#folder, 'extra'), ...env },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#extra.add(child);
    let pids: Record<string, number> = {};
    const ready = new Promise<ReadyWords>((resolve, reject) => {
      child.on('message', (message) => {
        const words = message as ReadyWords;
        if (words.pids !== undefined) pids = words.pids;
        if (words.type === 'ready') resolve(words);
        if (words.type === 'failed') reject(new Error(`extra ${role}: ${JSON.stringify(words)}`));
      });
      child.once('exit', (code) => reject(new Error(`extra ${role} ended with code ${code}`)));
    });
    const words = await ready;
    return { child, words, pids: () => pids };
  }

  /** Ends everything. @returns what lives on that should not */
  async close(): Promise<readonly string[]> {
    for (const child of this.#extra) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    await this.stack.stop();
    // an engine whose worker was killed needs a moment to notice
    await until('end of all processes', () => processesWith(this.#folder).length === 0, 5_000).catch(() => {});
    const left = processesWith(this.#folder);
    await closeParts({
      folder: this.#folder,
      redis: this.redis,
      redisWire: this.redisWire,
      s3: this.s3,
      s3Wire: this.s3Wire,
      faults: this.#faults,
    });
    return left;
  }
}

interface ReadyWords {
  readonly type?: string;
  readonly pids?: Record<string, number>;
  readonly [field: string]: unknown;
}

export interface ExtraProcess {
  readonly child: ChildProcess;
  readonly words: ReadyWords;
  pids(): Readonly<Record<string, number>>;
}

interface Parts {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly redis: PrivateRedis;
  readonly redisWire: TcpProxy;
  readonly s3: ObjectServer;
  readonly s3Wire: TcpProxy;
  readonly faults: FaultProxy;
  readonly ask: { plan: (seen: SeenRequest) => Fault | Promise<Fault> };
}

async function closeParts(parts: Omit<Parts, 'env' | 'ask'>): Promise<void> {
  await Promise.all([parts.redisWire.close(), parts.s3Wire.close(), parts.faults.close()]);
  await Promise.all([parts.redis.close(), parts.s3.close()]);
  await rm(parts.folder, { recursive: true, force: true });
}
