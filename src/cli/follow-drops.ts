import { type ObjectStore, prefixes } from '../storage/index.ts';
import { whileWatching } from './follow-batch.ts';
import { type CliIo, printJson, printLine } from './io.ts';
import { toPlainLine } from './plain-text.ts';
import { openProgress, silentProgress } from './progress.ts';
import { printResults, type ResultView, viewResults } from './results.ts';
import { splitLines } from './split-lines.ts';
import type { WatchedDrop } from './watch-drops.ts';

export interface FollowDropsOptions {
  readonly json?: boolean;
  readonly table?: boolean;
  /** Seconds until the first receipt. */
  readonly wait: number;
}

/** Shows drops until all have ended, then their results; the exit code becomes 1 when not everything was answered. */
export async function followDrops(
  io: CliIo,
  store: ObjectStore,
  drops: readonly WatchedDrop[],
  { json = false, table = false, wait }: FollowDropsOptions,
): Promise<void> {
  const { isAnswered, watchDrops } = await import('./watch-drops.ts');
  await whileWatching('the documents stay in the bucket and their batches go on', (signal) =>
    watchDrops(
      {
        store,
        signal,
        clock: io.clock,
        progress: json ? silentProgress : openProgress(io.stderr, io.clock),
        receiptWaitMs: wait * 1_000,
        onNews: (news) => {
          if (json) printJson(io.stdout, news);
        },
      },
      drops,
    ),
  );
  for (const drop of drops) if (json) await writeResults(io, store, drop);
  if (!json) await printResults(io.stdout, viewAll(store, drops), { table });
  const summary = summarize(drops);
  const ok = drops.every(isAnswered);
  if (json) printJson(io.stdout, { type: 'end', ok, ...summary });
  else printSummary(io, drops, summary);
  if (!ok) io.setExitCode(1);
}

interface Summary {
  readonly documents: number;
  readonly refused: number;
  readonly lines: number;
  readonly completed: number;
  readonly failed: number;
}

function summarize(drops: readonly WatchedDrop[]): Summary {
  const sum = (pick: (drop: WatchedDrop) => number): number => drops.reduce((total, drop) => total + pick(drop), 0);
  return {
    documents: drops.length,
    refused: drops.filter(({ receipt }) => receipt !== null && receipt.state !== 'accepted').length,
    lines: sum(({ manifest }) => manifest?.totals.lines ?? 0),
    completed: sum(({ manifest }) => manifest?.totals.completed ?? 0),
    failed: sum(({ manifest }) => manifest?.totals.failed ?? 0),
  };
}

function printSummary(io: CliIo, drops: readonly WatchedDrop[], summary: Summary): void {
  for (const { key, receipt, manifest } of drops) {
    if (receipt !== null && receipt.state !== 'accepted') {
      printLine(io.stderr, toPlainLine(`${key} ${receipt.state}: ${receipt.reason ?? 'no reason given'}`));
    }
    for (const { line, message } of manifest?.errors ?? []) {
      printLine(io.stderr, toPlainLine(`${key}${line === null ? '' : ` line ${line}`}: ${message}`));
    }
  }
  const { documents, refused, lines, completed, failed } = summary;
  printLine(
    io.stdout,
    `${documents} dropped, ${refused} refused: ${completed} of ${lines} lines answered, ${failed} failed`,
  );
}

/** Lines of different documents have the same names; a manifest names its lines itself. */
async function* viewAll(store: ObjectStore, drops: readonly WatchedDrop[]): AsyncGenerator<ResultView> {
  const { manifestName } = await import('../intake/index.ts');
  for (const drop of drops) {
    const document = drop.key.slice(prefixes.inbox.length);
    const isManifest = document.endsWith(`/${manifestName}`);
    for await (const view of viewResults(readResults(store, drop))) {
      yield isManifest ? view : { ...view, customId: `${document}/${view.customId}` };
    }
  }
}

async function* readResults(store: ObjectStore, { key, manifest }: WatchedDrop): AsyncGenerator<string> {
  if (manifest === null) return;
  const { outputKeysOf } = await import('../intake/index.ts');
  const found = await store.getStream(outputKeysOf(key).results);
  if (found !== undefined) yield* splitLines(found.stream as AsyncIterable<Uint8Array>);
}

async function writeResults(io: CliIo, store: ObjectStore, drop: WatchedDrop): Promise<void> {
  for await (const line of readResults(store, drop)) {
    io.stdout.write(`{"type":"result","document":${JSON.stringify(drop.key)},${line.slice(1)}\n`);
  }
}
