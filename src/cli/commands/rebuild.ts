import { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import { defaultTenant } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import { BatchStore, rebuildQueue } from '../../batch/index.ts';
import { loadConfig } from '../../config/index.ts';
import { findRedisUrl, openLocalBucket } from '../../local/index.ts';
import { openWorkQueue } from '../../queue/index.ts';
import { openS3ObjectStore } from '../../storage/index.ts';
import { type CliIo, printJson, printLine } from '../io.ts';
import { withDataDir, withExamples, withJson } from '../options.ts';
import { toPlainLine } from '../plain-text.ts';

interface RebuildOptions {
  readonly dataDir?: string;
  readonly json?: boolean;
}

export function rebuildCommand(io: CliIo): Command {
  const command = new Command('rebuild').description(
    'fill the work queue from the bucket: Redis may be emptied at any time, nothing of a batch is lost with it',
  );
  withJson(withDataDir(command), 'one JSON object: batches, repaired, jobs, failed');
  return withExamples(command, [
    '$ quire rebuild',
    '$ REDIS_URL=redis://10.0.0.7:6379 S3_ENDPOINT=https://s3.example.com S3_BUCKET=quire quire rebuild --json',
    '',
    'A running quire does the same by itself within seconds; this is for a Redis that is to be ready before it starts.',
    'Exit code 1: a batch could not be read.',
  ]).action((options: RebuildOptions) => rebuild(io, options));
}

async function rebuild(io: CliIo, options: RebuildOptions): Promise<void> {
  const config = loadConfig(io.variables);
  const dataDir = options.dataDir ?? config.dataDir;
  const redisUrl = config.isRedisGiven ? config.redisUrl : findRedisUrl(dataDir);
  if (redisUrl === undefined) {
    throw new AppError('input.config', 'no Redis: REDIS_URL is not set, and no quire was started over the data folder');
  }
  const log = buildCliLogger(io);
  const bucket = await openLocalBucket(dataDir, io.variables);
  try {
    const store = openS3ObjectStore(bucket.s3);
    const queue = openWorkQueue({ redisUrl, log });
    try {
      const batches = new BatchStore({ store, clock: systemClock });
      const rebuilt = await rebuildQueue({ store, batches, queue, log }, defaultTenant);
      if (options.json) printJson(io.stdout, { ok: rebuilt.failed === 0, ...rebuilt });
      else printLine(io.stdout, describe(rebuilt));
      if (rebuilt.failed > 0) io.setExitCode(1);
    } finally {
      await queue.close();
    }
  } finally {
    await bucket.close();
  }
}

function describe({ batches, repaired, jobs, failed }: Awaited<ReturnType<typeof rebuildQueue>>): string {
  const notes = [
    `${batches} unfinished batches`,
    `${jobs} jobs added`,
    ...(repaired > 0 ? [`${repaired} markers repaired`] : []),
    ...(failed > 0 ? [`${failed} batches could not be read`] : []),
  ];
  return notes.join(', ');
}

/** What goes wrong is told as lines on stderr; the rest is in the result. */
function buildCliLogger(io: CliIo): Logger {
  const say = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    const { batchId, err } = fields;
    const reason = err instanceof Error ? `: ${err.message}` : '';
    printLine(io.stderr, toPlainLine(`${message}${typeof batchId === 'string' ? ` (${batchId})` : ''}${reason}`));
  };
  const quiet = (): void => {};
  return { debug: quiet, info: quiet, warn: say, error: say };
}
