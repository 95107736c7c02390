import { keys } from '../../../src/storage/index.ts';
import { readLines } from '../../support/stack-client.ts';
import type { ChaosStack } from './chaos-stack.ts';
import type { BatchView, Timeline } from './observer.ts';
import type { Outcome } from './scenario.ts';
import type { Submitted } from './workload.ts';

export interface Expected {
  /** @defaultValue completed */
  readonly status?: string;
  /** Lines that end as errors. @defaultValue 0; null: any number */
  readonly failed?: number | null;
  /** What every error line must say; absent: anything. */
  readonly errorCode?: string;
}

const tenant = 'default';

/** Reads everything a user can read of a batch that is final, and the manifest, and counts again. */
export async function checkResults(
  chaos: ChaosStack,
  submitted: Submitted,
  timeline: Timeline,
  expected: Expected = {},
): Promise<Outcome> {
  const { batch } = timeline;
  const { status = 'completed', failed = 0, errorCode } = expected;
  const problems = [...timeline.illegal.map((move) => `illegal move: ${move}`)];
  const output = await readLines(chaos.client, batch.output_file_id);
  const errors = await readLines(chaos.client, batch.error_file_id);
  const times = new Map<string, number>();
  for (const line of [...output, ...errors]) {
    const id = String(line['custom_id']);
    times.set(id, (times.get(id) ?? 0) + 1);
  }
  const lost = submitted.customIds.filter((id) => !times.has(id)).length;
  const doubled = [...times.values()].filter((total) => total > 1).length;
  const strangers = [...times.keys()].filter((id) => !submitted.customIds.includes(id));
  if (batch.status !== status) problems.push(`the batch is ${batch.status} instead of ${status}: ${reasonOf(batch)}`);
  if (lost > 0) problems.push(`${lost} lines are lost`);
  if (doubled > 0) problems.push(`${doubled} lines are doubled`);
  if (strangers.length > 0) problems.push(`lines nobody sent: ${strangers.join(', ')}`);
  if (failed !== null && errors.length !== failed) {
    problems.push(`${errors.length} lines failed instead of ${failed}: ${JSON.stringify(errors[0])}`);
  }
  if (errorCode !== undefined) {
    const others = errors.filter((line) => codeOf(line) !== errorCode);
    if (others.length > 0)
      problems.push(`${others.length} error lines do not say ${errorCode}: ${JSON.stringify(others[0])}`);
  }
  problems.push(...countProblems(batch, submitted, output.length, errors.length));
  problems.push(...(await manifestProblems(chaos, batch.id, output.length, errors.length)));
  problems.push(...usageProblems(batch, [...output, ...errors]));
  return {
    ...killFigures(chaos),
    lines: submitted.customIds.length,
    lost,
    doubled,
    wastedTokens: chaos.requestLog.wastedTokens(),
    problems,
  };
}

const reasonOf = (batch: BatchView): string => batch.errors?.data[0]?.message ?? 'no reason given';

function codeOf(line: Readonly<Record<string, unknown>>): unknown {
  const { error, response } = line as {
    error: { code?: unknown } | null;
    response: { body: { error?: { code?: unknown } } } | null;
  };
  return error?.code ?? response?.body.error?.code;
}

function countProblems(batch: BatchView, { customIds }: Submitted, output: number, errors: number): string[] {
  const counts = { total: customIds.length, completed: output, failed: errors };
  const { total, completed, failed } = batch.request_counts;
  const isSame = total === counts.total && completed === output && failed === errors;
  return isSame ? [] : [`counts ${JSON.stringify(batch.request_counts)}, files and input ${JSON.stringify(counts)}`];
}

/** What the lines cost is what the batch cost, whatever was computed twice. */
function usageProblems(batch: BatchView, lines: readonly Readonly<Record<string, unknown>>[]): string[] {
  const ofLines = lines.reduce((sum, line) => sum + usageOf(line), 0);
  const ofBatch = batch.usage?.total_tokens ?? 0;
  return ofLines === ofBatch ? [] : [`the batch used ${ofBatch} tokens, its lines ${ofLines}`];
}

function usageOf(line: Readonly<Record<string, unknown>>): number {
  const { response } = line as { response: { body: { usage?: { total_tokens?: number } } } | null };
  return response?.body.usage?.total_tokens ?? 0;
}

async function manifestProblems(chaos: ChaosStack, id: string, output: number, errors: number): Promise<string[]> {
  const object = await chaos.store.get(keys.manifest(tenant, id));
  if (object === undefined) return ['there is no manifest'];
  const { totals, lines } = JSON.parse(Buffer.from(object.body).toString()) as {
    totals: { completed: number; failed: number };
    lines: readonly { custom_id: string }[];
  };
  const isSame = totals.completed === output && totals.failed === errors && lines.length === output + errors;
  return isSame ? [] : [`the manifest counts ${JSON.stringify(totals)} and ${lines.length} lines`];
}

/** Kills so far, and the longest time without a token after one of them. */
export function killFigures(chaos: ChaosStack): Pick<Outcome, 'kills' | 'producingKills' | 'recoverySeconds'> {
  const { kills, requestLog } = chaos;
  const waits = kills.flatMap(({ atMs, endingEngines }) => {
    const firstMs = requestLog.firstTokenAfter(atMs, endingEngines);
    return firstMs === null ? [] : [(firstMs - atMs) / 1000];
  });
  return {
    kills: kills.length,
    producingKills: kills.filter(({ wasProducing }) => wasProducing).length,
    recoverySeconds: waits.length === 0 ? null : Math.max(...waits),
  };
}
