import { createReadStream } from 'node:fs';
import type { Receipt } from '../intake/index.ts';
import { outputKeysOf } from '../intake/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { type DropPlan, markerKeyOf, templateKeyOf } from './drop-plan.ts';
import { type CliIo, printJson, printLine } from './io.ts';
import { loadJson, type WatchedDrop } from './watch-drops.ts';

/** Template first, so that no document is taken up without it; markers last, so that none is taken up half. */
export async function putDrop(
  io: CliIo,
  store: ObjectStore,
  plan: DropPlan,
  template: string | null,
  json: boolean,
): Promise<readonly WatchedDrop[]> {
  if (template !== null) await putTemplate(io, store, templateKeyOf(plan), template);
  const drops: WatchedDrop[] = [];
  for (const { path, key } of plan.files) {
    const before = await loadJson<Receipt>(store, outputKeysOf(key).receipt);
    const { etag } = await store.putStream(key, createReadStream(path) as AsyncIterable<Uint8Array>);
    if (json) printJson(io.stdout, { type: 'dropped', key, etag });
    else printLine(io.stdout, `dropped ${key}`);
    if (before?.etag === etag && before.state === 'accepted') {
      printLine(io.stderr, `${key} was dropped before with the same bytes: it does not run again, its results stand`);
    }
    if (plan.watched.includes(key)) drops.push({ key, etag, receipt: null, status: null, manifest: null });
  }
  for (const { key } of drops) await store.put(markerKeyOf(key), new Uint8Array());
  return drops;
}

async function putTemplate(io: CliIo, store: ObjectStore, key: string, template: string): Promise<void> {
  const before = await store.get(key);
  if (before !== undefined && Buffer.from(before.body).toString('utf8') === template) return;
  await store.put(key, Buffer.from(template), { contentType: 'application/json' });
  if (before !== undefined) printLine(io.stderr, `${key} was there with other content and is replaced`);
}
