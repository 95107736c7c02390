import { setTimeout as wait } from 'node:timers/promises';
import { toFile } from 'openai';
import { RunningStack } from '../support/stack-client.ts';
import { printTable } from './figures.ts';

/**
 * How long `GET /v1/batches/{id}` takes while a long batch runs on the embedded stack. Arguments: lines, answers timed.
 */
const lineTotal = Number(process.argv[2] ?? 50_000);
const answerTotal = Number(process.argv[3] ?? 300);
/** Between two questions: somebody who watches, not a load test. */
const everyMs = 50;

const lines = Array.from({ length: lineTotal }, (_, index) => {
  const body = {
    model: 'quire-nano',
    messages: [{ role: 'user', content: `Is clause ${index} about deliveries?` }],
    max_completion_tokens: 64,
  };
  return JSON.stringify({ custom_id: `line-${index}`, method: 'POST', url: '/v1/chat/completions', body });
});

const percentile = (sorted: readonly number[], share: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1);

const stack = await RunningStack.start();
try {
  const { client } = stack;
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'),
    purpose: 'batch',
  });
  const startMs = performance.now();
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const look = async (): Promise<{ status: string; request_counts: { completed: number } }> => {
    const response = await fetch(`${stack.apiUrl}/v1/batches/${id}`);
    return (await response.json()) as Awaited<ReturnType<typeof look>>;
  };
  for (;;) {
    const { status, request_counts: counts } = await look();
    if (status === 'in_progress' && counts.completed > 0) break;
    if (status !== 'validating' && status !== 'in_progress') throw new Error(`the batch is ${status}`);
    await wait(100);
  }
  const plannedSeconds = (performance.now() - startMs) / 1_000;
  const times: number[] = [];
  let last = await look();
  for (let answer = 0; answer < answerTotal; answer++) {
    const askedMs = performance.now();
    last = await look();
    times.push(performance.now() - askedMs);
    await wait(everyMs);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${lineTotal} lines; first line answered ${plannedSeconds.toFixed(1)} s after the create; ${last.request_counts.completed} answered at the end`,
  );
  printTable(
    ['answers', 'median ms', 'p95 ms', 'p99 ms', 'slowest ms'],
    [
      [
        String(times.length),
        percentile(times, 0.5),
        percentile(times, 0.95),
        percentile(times, 0.99),
        percentile(times, 1),
      ],
    ],
  );
} finally {
  await stack.remove();
}
