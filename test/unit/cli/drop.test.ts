import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildTemplate, planDrop, readTemplate } from '../../../src/cli/drop-plan.ts';
import { followDrops } from '../../../src/cli/follow-drops.ts';
import { openProgress } from '../../../src/cli/progress.ts';
import { putDrop } from '../../../src/cli/put-drop.ts';
import { hasEnded, isAnswered, type WatchedDrop, watchDrops } from '../../../src/cli/watch-drops.ts';
import { outputKeysOf, parseTemplate } from '../../../src/intake/index.ts';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';
import { analysisLine, failedLine } from './fake-batches.ts';
import { FakeClock, FakeStream, openFakeIo } from './fake-io.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const pathOf = (name: string): string => join(folder.path, name);

beforeAll(async () => {
  folder = await openTemporaryFolder('drop');
  for (const name of ['a.md', 'b.md', 'batch.jsonl', 'analysis.json', 'a.md.ready']) await writeFile(pathOf(name), 'x');
});
afterAll(() => folder.remove());

describe('planDrop', () => {
  it('gives every document a key and a receipt', async () => {
    const plan = await planDrop([pathOf('a.md'), pathOf('b.md')], '/leases/2026/');
    expect(plan.folder).toBe('inbox/leases/2026/');
    expect(plan.files.map(({ key }) => key)).toEqual(['inbox/leases/2026/a.md', 'inbox/leases/2026/b.md']);
    expect(plan.watched).toEqual(['inbox/leases/2026/a.md', 'inbox/leases/2026/b.md']);
  });

  it('puts a manifest last and waits for its receipt alone', async () => {
    const plan = await planDrop([pathOf('batch.jsonl'), pathOf('a.md')], 'march');
    expect(plan.files.map(({ key }) => key)).toEqual(['inbox/march/a.md', 'inbox/march/batch.jsonl']);
    expect(plan.watched).toEqual(['inbox/march/batch.jsonl']);
  });

  it.each(['', '/', '..', 'a/../b', 'a//b', './a', 'inbox/leases'])('refuses the folder %j', async (name) => {
    await expect(planDrop([pathOf('a.md')], name)).rejects.toThrow(/--folder must be a name such as leases/);
  });

  it('refuses files that are no documents, missing, or of one name', async () => {
    await expect(planDrop([pathOf('analysis.json')], 'x')).rejects.toThrow(/give it with --template/);
    await expect(planDrop([pathOf('a.md.ready')], 'x')).rejects.toThrow(/is a marker/);
    await expect(planDrop([pathOf('none.md')], 'x')).rejects.toThrow(/^no such file/);
    await expect(planDrop([pathOf('a.md'), join(folder.path, 'sub', 'a.md')], 'x')).rejects.toThrow(
      /two files are named a\.md/,
    );
  });
});

describe('templates', () => {
  it('of questions on the command line are what intake reads', () => {
    const asked = {
      questions: [{ id: 'q1', text: 'one?' }],
      schema: { type: 'string' },
      answer: 'json' as const,
      fields: { seed: 7 },
    };
    const template = parseTemplate(Buffer.from(buildTemplate(asked, undefined)), ['nano']);
    expect(template).toMatchObject({
      model: 'nano',
      questions: [{ id: 'q1', question: 'one?', schema: { type: 'string' } }],
      answer: 'json',
      options: { seed: 7 },
    });
    expect(parseTemplate(Buffer.from(buildTemplate(asked, 'other')), ['nano', 'other']).model).toBe('other');
  });

  it('in a file are checked before anything is put', async () => {
    await writeFile(pathOf('good.json'), '{"version":1,"model":"nano","questions":[{"id":"a","question":"?"}]}');
    expect(JSON.parse(await readTemplate(pathOf('good.json')))).toMatchObject({ model: 'nano' });
    await writeFile(pathOf('bad.json'), '{"version":1,"qestions":[]}');
    await expect(readTemplate(pathOf('bad.json'))).rejects.toThrow(/^template .*bad\.json: unknown field qestions/);
    await writeFile(pathOf('broken.json'), '{');
    await expect(readTemplate(pathOf('broken.json'))).rejects.toThrow(/template .* is not JSON/);
  });
});

const dropped = 'inbox/leases/a.md';
const outputs = outputKeysOf(dropped);
const newDrop = (): WatchedDrop => ({ key: dropped, etag: 'e1', receipt: null, status: null, manifest: null });

/** A store in which the next thing happens whenever time passes. */
function staged(steps: readonly ((store: MemoryObjectStore) => Promise<unknown>)[]) {
  const store = new MemoryObjectStore();
  const left = [...steps];
  class SteppingClock extends FakeClock {
    override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
      await super.sleep(ms, signal);
      await left.shift()?.(store);
    }
  }
  return { store, clock: new SteppingClock() };
}

const put = (at: string, value: object) => (store: MemoryObjectStore) =>
  store.put(at, Buffer.from(JSON.stringify(value)));
const receipt = (over: object = {}): object => ({
  version: 1,
  key: dropped,
  etag: 'e1',
  size: 1,
  state: 'accepted',
  reason: null,
  batch_id: 'batch_1',
  custom_ids: ['q1'],
  at: 't',
  ...over,
});
const status = (over: object = {}): object => ({
  version: 1,
  batch_id: 'batch_1',
  status: 'in_progress',
  request_counts: { total: 2, completed: 1, failed: 0 },
  current: { custom_id: 'q2', step: 'answer', pages_read: null, tokens: 7 },
  wait_reason: null,
  eta_seconds: null,
  at: 't1',
  ...over,
});
const manifest = (over: object = {}): object => ({
  version: 1,
  key: dropped,
  etag: 'e1',
  batch_id: 'batch_1',
  status: 'completed',
  lines: [],
  totals: { lines: 2, completed: 2, failed: 0, usage: null },
  errors: [],
  ...over,
});

describe('putDrop', () => {
  const template = '{"version":1}';

  it('writes the template first and the marker last', async () => {
    const keys: string[] = [];
    class Recording extends MemoryObjectStore {
      override put(...args: Parameters<MemoryObjectStore['put']>) {
        keys.push(args[0]);
        return super.put(...args);
      }

      override putStream(...args: Parameters<MemoryObjectStore['putStream']>) {
        keys.push(args[0]);
        return super.putStream(...args);
      }
    }
    const plan = await planDrop([pathOf('a.md'), pathOf('b.md')], 'leases');
    const io = openFakeIo();
    const drops = await putDrop(io, new Recording(), plan, template, false);
    // the store of tests may stream by putting
    expect([...new Set(keys)]).toEqual(
      ['analysis.json', 'a.md', 'b.md', 'a.md.ready', 'b.md.ready'].map((name) => `inbox/leases/${name}`),
    );
    expect(drops.map(({ key }) => key)).toEqual(plan.watched);
    expect(io.stderr.text).toBe('');
  });

  it('says what replaces a template, and what will not run again', async () => {
    const store = new MemoryObjectStore();
    const plan = await planDrop([pathOf('a.md')], 'leases');
    const [first] = await putDrop(openFakeIo(), store, plan, template, false);
    await store.put(outputs.receipt, Buffer.from(JSON.stringify(receipt({ etag: first?.etag }))));
    const same = openFakeIo();
    await putDrop(same, store, plan, template, true);
    expect(same.stderr.text).toMatch(/^inbox\/leases\/a\.md was dropped before with the same bytes/);
    expect(same.stdout.lines).toHaveLength(1);
    const other = openFakeIo();
    await putDrop(other, store, plan, '{"version":1,"answer":"text"}', false);
    expect(other.stderr.text).toMatch(/^inbox\/leases\/analysis\.json was there with other content and is replaced/);
  });
});

describe('watchDrops', () => {
  const watch = (stage: ReturnType<typeof staged>, drops: readonly WatchedDrop[], news: string[] = []) =>
    watchDrops(
      {
        ...stage,
        progress: openProgress(new FakeStream(), stage.clock),
        signal: new AbortController().signal,
        receiptWaitMs: 10_000,
        onNews: ({ type }) => news.push(type),
      },
      drops,
    );

  it('follows receipt, status and manifest', async () => {
    const drop = newDrop();
    const news: string[] = [];
    const steps = [put(outputs.receipt, receipt()), put(outputs.status, status()), put(outputs.manifest, manifest())];
    await watch(staged(steps), [drop], news);
    expect(news).toEqual(['receipt', 'status']);
    expect(isAnswered(drop)).toBe(true);
  });

  it('believes nothing that is said of another version or another batch', async () => {
    const drop = newDrop();
    const stage = staged([
      put(outputs.receipt, receipt({ etag: 'e0', state: 'rejected' })),
      put(outputs.manifest, manifest({ batch_id: 'batch_0', status: 'failed' })),
      put(outputs.receipt, receipt()),
      put(outputs.manifest, manifest()),
    ]);
    await watch(stage, [drop]);
    expect(drop.receipt?.etag).toBe('e1');
    expect(drop.manifest?.batch_id).toBe('batch_1');
  });

  it.each(['rejected', 'quarantined'])(
    'ends with a receipt that says %s, also after it said accepted',
    async (state) => {
      const drop = newDrop();
      await watch(staged([put(outputs.receipt, receipt()), put(outputs.receipt, receipt({ state, reason: 'why' }))]), [
        drop,
      ]);
      expect([hasEnded(drop), isAnswered(drop), drop.receipt?.reason]).toEqual([true, false, 'why']);
    },
  );

  it('gives up when nobody takes anything up', async () => {
    const stage = staged([]);
    const startMs = stage.clock.now;
    await expect(watch(stage, [newDrop()])).rejects.toMatchObject({
      code: 'transient.timeout',
      message: expect.stringContaining('no receipt within 10 s: no intake is running'),
    });
    expect(stage.clock.now - startMs).toBe(10_000);
  });

  it('waits for the others for as long as it takes once one is taken up', async () => {
    const other = { ...newDrop(), key: 'inbox/leases/b.md' };
    const wait = Array.from({ length: 30 }, () => async () => {});
    const outputsOfOther = outputKeysOf(other.key);
    const stage = staged([
      put(outputs.receipt, receipt({ state: 'rejected' })),
      ...wait,
      put(outputsOfOther.receipt, receipt({ key: other.key, state: 'rejected' })),
    ]);
    await watch(stage, [newDrop(), other]);
    expect(other.receipt).not.toBeNull();
  });
});

describe('followDrops', () => {
  const results = `${analysisLine('q1')}\n${failedLine('q2', 'too long')}\n`;
  const steps = [
    put(outputs.receipt, receipt()),
    (store: MemoryObjectStore) => store.put(outputs.results, Buffer.from(results)),
    put(outputs.manifest, manifest({ totals: { lines: 2, completed: 1, failed: 1, usage: null } })),
  ];

  it('prints the results under the name of their document, and counts', async () => {
    const stage = staged(steps);
    const io = { ...openFakeIo(), clock: stage.clock };
    await followDrops(io, stage.store, [newDrop()], { wait: 10 });
    expect(io.stdout.text).toContain('leases/a.md/q1\n  60 days\n');
    expect(io.stdout.text).toContain('leases/a.md/q2\n  failed: too long\n');
    expect(io.stdout.lines.at(-1)).toBe('1 dropped, 0 refused: 1 of 2 lines answered, 1 failed');
    expect(io.exitCode()).toBe(1);
  });

  it('writes one object a line as JSON', async () => {
    const stage = staged(steps);
    const io = { ...openFakeIo(), clock: stage.clock };
    await followDrops(io, stage.store, [newDrop()], { wait: 10, json: true });
    const events = io.stdout.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ type }) => type)).toEqual(['receipt', 'result', 'result', 'end']);
    expect(events[1]).toMatchObject({ document: dropped, custom_id: 'q1' });
    expect(events[3]).toMatchObject({ ok: false, documents: 1, lines: 2, completed: 1, failed: 1 });
    expect(io.stderr.text).toBe('');
  });

  it('says why a document was refused', async () => {
    const stage = staged([
      put(
        outputs.receipt,
        receipt({ state: 'rejected', reason: 'documents of type .pdf cannot be read', batch_id: null }),
      ),
    ]);
    const io = { ...openFakeIo(), clock: stage.clock };
    await followDrops(io, stage.store, [newDrop()], { wait: 10 });
    expect(io.stderr.text).toContain('inbox/leases/a.md rejected: documents of type .pdf cannot be read');
    expect(io.exitCode()).toBe(1);
  });
});
