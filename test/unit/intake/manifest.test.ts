import { describe, expect, it } from 'vitest';
import { resolveDocumentKey } from '../../../src/intake/manifest.ts';
import { keys } from '../../../src/storage/index.ts';
import { tenant } from '../batch/batch-world.ts';
import { batchIdOf, IntakeWorld } from './intake-world.ts';

const folder = 'inbox/deals/';
const key = `${folder}batch.jsonl`;

const line = (customId: string, ...documents: readonly unknown[]): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/analyses',
    body: { model: 'quire-nano', documents, question: 'Why?' },
  });

async function inputOf(
  world: IntakeWorld,
  batchId: string,
): Promise<{ custom_id: string; body: { documents: Record<string, string>[] } }[]> {
  const batch = await world.get(batchId);
  const text = (await world.readText(keys.fileContent(tenant, batch.input_file_id))) ?? '';
  return text
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each));
}

describe('a folder with a manifest', () => {
  it('runs as one batch once its marker is there, and its documents do not run alone', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(`${folder}lease-7.md`, 'seven');
    await world.drop(`${folder}lease-8.md`, 'eight');
    const etag = await world.drop(
      key,
      [line('a', { key: 'lease-7.md' }), line('b', { key: 'lease-8.md' }, { key: 'lease-7.md' })].join('\n'),
    );
    await world.pass(intake, 30);
    expect(await world.batchesOf()).toHaveLength(0);
    await world.drop(`${key}.ready`, '');
    await world.pass(intake, 1);
    const batchId = batchIdOf(key, etag);
    const [first, second] = await inputOf(world, batchId);
    const [seven, eight] = [first?.body.documents[0]?.['file_id'], second?.body.documents[0]?.['file_id']];
    expect(second?.body.documents[1]?.['file_id']).toBe(seven);
    await world.drop(`${folder}lease-7.md`, 'changed meanwhile');
    expect(await world.readText(keys.fileContent(tenant, seven ?? ''))).toBe('seven');
    expect(await world.readText(keys.fileContent(tenant, eight ?? ''))).toBe('eight');
    await world.finish(intake);
    const { receipt, status, results, manifest } = await world.outboxOf(key);
    expect(receipt).toMatchObject({ state: 'accepted', batch_id: batchId, custom_ids: ['a', 'b'] });
    expect(status?.status).toBe('completed');
    expect(results?.map((each) => each.custom_id)).toEqual(['a', 'b']);
    expect(manifest?.totals).toMatchObject({ lines: 2, completed: 2, failed: 0 });
    expect(await world.batchesOf()).toHaveLength(1);
    expect((await world.store.list('receipts/')).objects.map((each) => each.key)).toEqual([
      'receipts/deals/batch.jsonl.json',
    ]);
  });

  it('takes the folder’s marker too, and leaves its documents alone when the manifest is tidied away', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(`${folder}lease-7.md`, 'seven');
    await world.drop(key, line('a', { key: 'lease-7.md' }));
    await world.drop(`${folder}.ready`, '');
    await world.finish(intake);
    await world.store.delete([key, `${folder}.ready`]);
    await world.pass(intake, 20);
    await world.pass(world.startIntake(), 20);
    expect(await world.batchesOf()).toHaveLength(1);
    await world.drop(`${folder}lease-9.md`, 'dropped after that');
    await world.finish(intake);
    expect((await world.outboxOf(`${folder}lease-9.md`)).receipt?.state).toBe('accepted');
  });

  it('leaves a document that is missing to become an error of its line', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    const etag = await world.drop(key, line('a', { key: 'missing.md' }, { name: 'n', text: 't' }));
    await world.drop(`${key}.ready`, '');
    await world.pass(intake, 1);
    const [only] = await inputOf(world, batchIdOf(key, etag));
    expect(only?.body.documents).toEqual([{ key: 'inbox/deals/missing.md' }, { name: 'n', text: 't' }]);
  });

  it.each([
    [line('a', { key: '../leases/x.md' }), /batch.jsonl: line 1: document key "..\/leases\/x.md" must be relative/],
    [line('a', { key: 'inbox/leases/x.md' }), /must be relative and stay within inbox\/deals\//],
    [
      `${line('a')}\n${line('a')}\nnot json`,
      /batch.jsonl: line 2: custom_id "a" is used by line 1.*; 2 problems in all/,
    ],
    ['{"custom_id":"a","method":"POST","url":"/v1/responses","body":{}}', /line 1: url is "\/v1\/responses"/],
  ])('is rejected with the first problem of its lines: %j', async (text, reason) => {
    const world = new IntakeWorld();
    await world.drop(key, text);
    await world.drop(`${key}.ready`, '');
    await world.finish(world.startIntake());
    const { receipt } = await world.outboxOf(key);
    expect(receipt).toMatchObject({ state: 'rejected', reason: expect.stringMatching(reason) });
    expect(await world.batchesOf()).toHaveLength(0);
  });

  it('runs chat lines too', async () => {
    const world = new IntakeWorld();
    const body = { model: 'quire-nano', messages: [{ role: 'user', content: 'Hello' }] };
    await world.drop(key, JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body }));
    await world.drop(`${key}.ready`, '');
    await world.finish(world.startIntake());
    expect((await world.outboxOf(key)).results).toHaveLength(1);
  });
});

describe('resolveDocumentKey', () => {
  it.each([
    ['a.md', 'inbox/deals/a.md'],
    ['sub/a.md', 'inbox/deals/sub/a.md'],
    ['inbox/deals/a.md', 'inbox/deals/a.md'],
    ['..a/b..md', 'inbox/deals/..a/b..md'],
  ])('makes %s absolute', (written, resolved) => {
    expect(resolveDocumentKey(folder, written)).toBe(resolved);
  });

  it.each([
    '..',
    '../a.md',
    'sub/../../a.md',
    '/etc/passwd',
    'a//b.md',
    './a.md',
    'inbox/other/a.md',
    'inbox/deals/../x',
    '',
  ])('refuses %j', (written) => {
    expect(() => resolveDocumentKey(folder, written)).toThrow(
      expect.objectContaining({ code: 'input.invalid-request' }),
    );
  });
});
