import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';
import { defaultTenant } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { BatchStore, Janitor } from '../../src/batch/index.ts';
import { openS3ObjectStore } from '../../src/storage/index.ts';
import { testBucket, testCredentials } from '../support/embedded-store.ts';
import { FakeBus, FakeQueue } from '../support/fake-queue.ts';
import { printTable } from './figures.ts';

/**
 * From the first byte of an upload to a planned batch, with the embedded S3 server in a process of its own: what api and
 * janitor do with a long input file. Arguments: lines, bytes a line.
 */
const lineTotal = Number(process.argv[2] ?? 50_000);
const lineBytes = Number(process.argv[3] ?? 2_048);

async function* input(): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < lineTotal; index++) {
    const line = (content: string): string =>
      `${JSON.stringify({
        custom_id: `line-${index}`,
        method: 'POST',
        url: '/v1/chat/completions',
        body: { model: 'quire-nano', messages: [{ role: 'user', content }] },
      })}\n`;
    yield Buffer.from(line('word '.repeat(lineBytes).slice(0, lineBytes - line('').length)));
  }
}

const peakMebibytes = (): number => process.resourceUsage().maxRSS / 1024;

const folder = await mkdtemp(join(tmpdir(), 'quire-bench-'));
const entry = fileURLToPath(new URL('../support/embedded-s3-child.ts', import.meta.url));
const server = spawn(process.execPath, ['--import', 'tsx', entry, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
try {
  const [endpoint = ''] = await new Promise<string[]>((resolve, reject) => {
    createInterface({ input: server.stdout }).once('line', (line) => resolve([line]));
    server.once('exit', () => reject(new Error('the object server ended')));
  });
  const store = openS3ObjectStore({ endpoint, region: 'us-east-1', bucket: testBucket, ...testCredentials });
  const clock = systemClock;
  const batches = new BatchStore({ store, clock });
  const janitor = new Janitor({
    store,
    batches,
    queue: new FakeQueue(),
    bus: new FakeBus(),
    clock,
    log: silentLogger,
    limits: { maxLines: lineTotal, maxLineBytes: 1 << 20 },
  });
  const rows: string[][] = [];
  let [lastMs, lastCpuMs] = [clock.nowMs(), 0];
  const lap = (what: string): void => {
    const nowMs = clock.nowMs();
    const { user, system } = process.cpuUsage();
    const cpuMs = (user + system) / 1000;
    rows.push([
      what,
      ((nowMs - lastMs) / 1000).toFixed(2),
      ((cpuMs - lastCpuMs) / 1000).toFixed(2),
      peakMebibytes().toFixed(0),
    ]);
    [lastMs, lastCpuMs] = [nowMs, cpuMs];
  };
  lap('start');
  const file = await batches.saveFile(defaultTenant, input(), { filename: 'input.jsonl', purpose: 'batch' });
  lap(`upload, ${(file.bytes / 2 ** 20).toFixed(0)} MiB`);
  const { id } = await batches.createBatch({
    tenant: defaultTenant,
    inputFileId: file.id,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterSeconds: null,
    priority: 'batch',
  });
  lap('create');
  await janitor.handle(defaultTenant, id);
  lap('validate, plan, enqueue');
  const record = await batches.getBatch(defaultTenant, id);
  if (record.status !== 'in_progress' || record.request_counts.total !== lineTotal) {
    throw new Error(`batch is ${record.status} with ${record.request_counts.total} lines`);
  }
  await batches.cancelBatch(defaultTenant, id);
  await janitor.handle(defaultTenant, id);
  lap('cancel: seal and finalize all');
  printTable(['step', 'seconds', 'seconds of processor', 'peak MiB so far'], rows);
} finally {
  server.stdin.end();
  await rm(folder, { recursive: true, force: true });
}
