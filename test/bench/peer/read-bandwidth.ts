import { Worker } from 'node:worker_threads';

/** Far more than a cache holds. */
const bufferBytes = 2 ** 28;
const passes = 6;

/**
 * Bytes a second that so many threads read together: each searches a buffer of its own for a byte that is not in it,
 * which is one pass of wide loads. The best pass counts, since whatever else runs only takes away.
 */
export async function measureReadBandwidth(threads: number): Promise<number> {
  const shared = new SharedArrayBuffer(4);
  const workers = Array.from({ length: threads }, () => readInWorker(shared, threads));
  const rates = await Promise.all(workers);
  // pass by pass, because all threads read at the same time
  const together = Array.from({ length: passes }, (_, pass) => rates.reduce((sum, own) => sum + (own[pass] ?? 0), 0));
  return Math.max(...together);
}

function readInWorker(shared: SharedArrayBuffer, threads: number): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerCode, { eval: true, workerData: { shared, threads, bufferBytes, passes } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Waits at every pass until all threads are there. */
const workerCode = `
const { parentPort, workerData: { shared, threads, bufferBytes, passes } } = require('node:worker_threads');
const arrived = new Int32Array(shared);
const buffer = Buffer.alloc(bufferBytes, 1);
const rates = [];
for (let pass = 0; pass < passes; pass++) {
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < threads * (pass + 1));
  const startMs = performance.now();
  if (buffer.indexOf(0) !== -1) throw new Error('a buffer of ones has a zero');
  rates.push((1000 * bufferBytes) / (performance.now() - startMs));
}
parentPort.postMessage(rates);
`;
