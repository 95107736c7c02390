import type { BatchObject } from '../api/schemas/batch.schema.ts';
import { AppError } from '../base/errors.ts';
import { openStopSignals } from '../local/index.ts';
import { describeEnd, isAllAnswered } from './batch-frame.ts';
import type { QuireApi } from './client.ts';
import { type CliIo, printJson, printLine } from './io.ts';
import { openProgress, silentProgress } from './progress.ts';
import { printResults, viewResults } from './results.ts';
import { watchBatch } from './watch-batch.ts';

export interface FollowOptions {
  readonly json?: boolean;
  readonly table?: boolean;
  /** Show the results when it is over. */
  readonly results: boolean;
}

/** Shows a batch until it is over; the exit code becomes 1 when not everything was answered. */
export async function followBatch(io: CliIo, api: QuireApi, id: string, options: FollowOptions): Promise<void> {
  const { json = false } = options;
  const batch = await whileWatching(`the batch goes on; follow it with: quire watch ${id}`, (signal) =>
    watchBatch(
      {
        api,
        clock: io.clock,
        signal,
        progress: json ? silentProgress : openProgress(io.stderr, io.clock),
        onChange: (now) => {
          if (json) printJson(io.stdout, progressEvent(now));
        },
      },
      id,
    ),
  );
  if (options.results) await showResults(io, api, batch, options);
  const ok = isAllAnswered(batch);
  if (json) printJson(io.stdout, { type: 'end', ok, batch });
  else {
    printLine(io.stdout, describeEnd(batch, io.clock.nowMs()));
    for (const line of describeRefusal(batch)) printLine(io.stderr, line);
    if (!options.results && hasResults(batch)) printLine(io.stdout, `results: quire batch results ${id}`);
  }
  if (!ok) io.setExitCode(1);
}

/** Ctrl-C ends the watching with a sentence about what goes on. @throws `cancelled.by-user` */
export async function whileWatching<Result>(
  goesOn: string,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const signals = openStopSignals();
  try {
    return await run(signals.stop);
  } catch (error) {
    if (signals.stop.aborted)
      throw new AppError('cancelled.by-user', `no longer watching; ${goesOn}`, { cause: error });
    throw error;
  } finally {
    signals.close();
  }
}

export const hasResults = ({ output_file_id: output, error_file_id: errors }: BatchObject): boolean =>
  output !== null || errors !== null;

/** Lines that were answered, then those that failed. */
export async function* readResults(api: QuireApi, batch: BatchObject): AsyncGenerator<string> {
  for (const fileId of [batch.output_file_id, batch.error_file_id]) {
    if (fileId !== null) yield* api.readLines(fileId);
  }
}

/** What was wrong with the input of a batch that was refused as a whole. */
export function describeRefusal({ errors, ext }: BatchObject): readonly string[] {
  const listed = errors?.data ?? [];
  const lines = listed.map(({ line, message }) => (line === null ? message : `line ${line}: ${message}`));
  const more = ext.error_total - listed.length;
  return more > 0 ? [...lines, `… and ${more} more`] : lines;
}

async function showResults(io: CliIo, api: QuireApi, batch: BatchObject, options: FollowOptions): Promise<void> {
  if (options.json) {
    for await (const line of readResults(api, batch)) io.stdout.write(`{"type":"result",${line.slice(1)}\n`);
  } else {
    await printResults(io.stdout, viewResults(readResults(api, batch)), { table: options.table ?? false });
  }
}

const progressEvent = ({ id, status, request_counts, ext }: BatchObject): object => ({
  type: 'progress',
  batch_id: id,
  status,
  request_counts,
  current: ext.current,
  wait_reason: ext.wait_reason,
});
