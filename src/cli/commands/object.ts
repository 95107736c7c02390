import { Command } from 'commander';
import { AppError } from '../../base/errors.ts';
import { loadConfig } from '../../config/index.ts';
import { openLocalBucket } from '../../local/index.ts';
import { type ListedObject, type ObjectStore, openS3ObjectStore } from '../../storage/index.ts';
import { type CliIo, printJson, printLine } from '../io.ts';
import { integerOption, withDataDir, withExamples, withJson } from '../options.ts';
import { toPlainLine } from '../plain-text.ts';

interface ObjectOptions {
  readonly dataDir?: string;
}

interface ListOptions extends ObjectOptions {
  readonly limit: number;
  readonly json?: boolean;
}

export function objectCommand(io: CliIo): Command {
  const object = new Command('object').description('read the bucket of a data folder, running or not');
  object.addCommand(getCommand(io)).addCommand(listCommand(io));
  return withExamples(object, ['$ quire object list outbox/', '$ quire object get receipts/leases/lease.md.json']);
}

function getCommand(io: CliIo): Command {
  const command = new Command('get')
    .argument('<key>', 'object key, as results and summaries name it')
    .description('write the bytes of one object to stdout');
  return withExamples(withDataDir(command), [
    '$ quire object get outbox/leases/lease.md/results.jsonl',
    '$ quire object get v1/default/batches/batch_…/output.jsonl > output.jsonl',
  ]).action((key: string, options: ObjectOptions) =>
    withBucket(io, options, async (store) => {
      const found = await store.getStream(key);
      if (found === undefined) throw new AppError('input.not-found', `no object with key ${JSON.stringify(key)}`);
      for await (const chunk of found.stream) {
        await new Promise<void>((resolve, reject) =>
          process.stdout.write(chunk as Uint8Array, (error) => (error ? reject(error) : resolve())),
        );
      }
    }),
  );
}

function listCommand(io: CliIo): Command {
  const command = new Command('list')
    .argument('[prefix]', 'what keys begin with', '')
    .description('keys under a prefix, with bytes and time')
    .option('--limit <n>', 'at most so many', integerOption(1, 10_000_000), 1_000);
  withJson(withDataDir(command), 'one object a line: key, bytes, etag, modified');
  return withExamples(command, [
    '$ quire object list inbox/leases/',
    '$ quire object list receipts/ --limit 100000 --json | wc -l',
  ]).action((prefix: string, options: ListOptions) =>
    withBucket(io, options, async (store) => {
      const isMore = await printList(io, store, prefix, options);
      if (isMore) printLine(io.stderr, `there are more than ${options.limit}; see --limit`);
    }),
  );
}

const pageLimit = 1_000;

/** @returns are there more than were asked for? */
async function printList(
  io: CliIo,
  store: ObjectStore,
  prefix: string,
  { limit, json }: ListOptions,
): Promise<boolean> {
  let left = limit;
  let after: string | null = null;
  do {
    const page = await store.list(prefix, { limit: Math.min(left, pageLimit), ...(after === null ? {} : { after }) });
    for (const object of page.objects) printObject(io, object, json ?? false);
    left -= page.objects.length;
    after = page.next;
  } while (after !== null && left > 0);
  return after !== null;
}

function printObject(io: CliIo, { key, bytes, etag, lastModifiedMs }: ListedObject, json: boolean): void {
  const modified = new Date(lastModifiedMs).toISOString();
  if (json) printJson(io.stdout, { key, bytes, etag, modified });
  else
    printLine(
      io.stdout,
      `${modified.replace('T', ' ').slice(0, 19)} ${String(bytes).padStart(12)}  ${toPlainLine(key)}`,
    );
}

async function withBucket(
  io: CliIo,
  options: ObjectOptions,
  run: (store: ObjectStore) => Promise<void>,
): Promise<void> {
  const bucket = await openLocalBucket(options.dataDir ?? loadConfig(io.variables).dataDir, io.variables);
  try {
    await run(openS3ObjectStore(bucket.s3));
  } finally {
    await bucket.close();
  }
}
