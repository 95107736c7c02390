import { describe, expect, it } from 'vitest';
import type { AppError } from '../../../src/base/errors.ts';
import { outputKeysOf, readableTypes } from '../../../src/intake/index.ts';
import { findTypeProblem } from '../../../src/intake/readable-types.ts';
import { parseDocument } from '../../../src/pipeline/document/parse-document.ts';
import { IntakeWorld } from './intake-world.ts';

const key = 'inbox/leases/lease-7.md';

async function rejectionOf(world: IntakeWorld, dropped: string): Promise<string | null | undefined> {
  await world.finish(world.startIntake());
  const { receipt, status, manifest } = await world.outboxOf(dropped);
  expect(receipt).toMatchObject({ state: 'rejected', batch_id: null, custom_ids: [] });
  expect([status, manifest]).toEqual([undefined, undefined]);
  expect(await world.batchesOf()).toHaveLength(0);
  expect(await world.openMarkers()).toBe(0);
  return receipt?.reason;
}

describe('a rejected document', () => {
  it('has a receipt that names its type and the types allowed', async () => {
    const world = new IntakeWorld();
    await world.drop('inbox/leases/scan.PDF', 'PDF');
    expect(await rejectionOf(world, 'inbox/leases/scan.PDF')).toBe(
      'documents of type .pdf cannot be read; allowed: .txt, .md, .markdown, .text, .log, .csv, .json',
    );
  });

  it('has a receipt that names the patterns when its folder includes others', async () => {
    const world = new IntakeWorld();
    await world.dropTemplate('inbox/leases/', { include: ['*.md', 'memo-?.txt'] });
    await world.drop('inbox/leases/memo-12.txt', 'text');
    expect(await rejectionOf(world, 'inbox/leases/memo-12.txt')).toBe(
      'the folder\'s template includes only "*.md", "memo-?.txt"',
    );
  });

  it('has a receipt that names the limit when it is too large', async () => {
    const world = new IntakeWorld();
    await world.drop(key, 'x'.repeat(10_001));
    expect(await rejectionOf(world, key)).toBe('the object has 10001 bytes; at most 10000 are allowed');
  });

  it('has a receipt when the keys of its results would be too long', async () => {
    const world = new IntakeWorld();
    const long = `inbox/${'x'.repeat(1_001)}.md`;
    await world.drop(long, 'text');
    await world.finish(world.startIntake());
    const receipt = await world.readText(outputKeysOf(long).receipt);
    expect(JSON.parse(receipt ?? '')).toMatchObject({
      state: 'rejected',
      reason: expect.stringMatching(/^the key has 1010 bytes; at most 1009 leave room/),
    });
  });

  it.each([
    ['{', 'analysis.json: not valid JSON in UTF-8'],
    ['', 'analysis.json: it is empty'],
    ['[1]', 'analysis.json: it holds an array of 1; it must be a JSON object'],
    ['{"questions":[]}', /analysis.json: questions is an array of 0; it must be an array of 1 to 1000 questions/],
    ['{"version":2}', 'analysis.json: version is 2; this program knows 1'],
    [
      '{"model":"gpt-9"}',
      /analysis.json: question "summary": the model "gpt-9" does not exist; served here: quire-nano/,
    ],
    ['{"question":"?"}', /analysis.json: unknown field question; known: version, model, questions/],
    ['{"max_completion_tokens":0}', /analysis.json: question "summary": max_completion_tokens is 0; it must be/],
  ])('has a receipt that says what is wrong in %j', async (text, reason) => {
    const world = new IntakeWorld();
    await world.drop('inbox/leases/analysis.json', text);
    await world.drop(key, 'text');
    expect(await rejectionOf(world, key)).toEqual(typeof reason === 'string' ? reason : expect.stringMatching(reason));
  });

  it('is accepted once the template is mended, also by a process that was not there before', async () => {
    for (const isNew of [false, true]) {
      const world = new IntakeWorld();
      const intake = world.startIntake();
      await world.drop('inbox/leases/analysis.json', '{');
      await world.drop(key, 'text');
      await world.finish(intake);
      expect((await world.outboxOf(key)).receipt?.state).toBe('rejected');
      await world.dropTemplate('inbox/leases/', {});
      await world.finish(isNew ? world.startIntake() : intake);
      expect((await world.outboxOf(key)).receipt).toMatchObject({ state: 'accepted', reason: null });
      expect((await world.outboxOf(key)).manifest?.totals.completed).toBe(1);
    }
  });

  it('is accepted once a newer program reads its type', async () => {
    const world = new IntakeWorld();
    await world.drop(key, 'x'.repeat(20_000));
    await world.finish(world.startIntake());
    await world.finish(world.startIntake(world.store, { ...world.rules, maxFileBytes: 30_000 }));
    expect((await world.outboxOf(key)).receipt?.state).toBe('accepted');
  });

  it('takes the results of the version before out of the outbox', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.finish(intake);
    await world.drop(key, 'x'.repeat(10_001));
    await world.finish(intake);
    const { receipt, ...rest } = await world.outboxOf(key);
    expect(receipt?.state).toBe('rejected');
    expect(rest).toEqual({ status: undefined, results: undefined, manifest: undefined });
  });

  it('runs nothing again when the version that ran is excluded later', async () => {
    const world = new IntakeWorld();
    const intake = world.startIntake();
    await world.drop(key, 'text');
    await world.finish(intake);
    await world.dropTemplate('inbox/leases/', { include: ['*.txt'] });
    await world.pass(intake, 10);
    await world.finish(world.startIntake());
    expect((await world.outboxOf(key)).receipt?.state).toBe('accepted');
  });
});

describe('objects that are no documents', () => {
  it('get no receipt', async () => {
    const world = new IntakeWorld();
    for (const name of ['analysis.json', 'x.md.ready', '.ready']) await world.drop(`inbox/leases/${name}`, '{}');
    await world.drop('inbox/leases/', '');
    await world.drop('inbox/folder/', 'not empty');
    await world.finish(world.startIntake());
    expect((await world.store.list('receipts/')).objects).toEqual([]);
  });
});

describe('readable types', () => {
  it('are those the pipeline reads', () => {
    for (const type of readableTypes) expect(parseDocument(`a.${type}`, Buffer.from('text')).text).toBe('text');
    expect(parseDocument('README', Buffer.from('text')).text).toBe('text');
    expect(findTypeProblem('README')).toBeNull();
    let told = '';
    try {
      parseDocument('a.pdf', Buffer.from('text'));
    } catch (error) {
      told = (error as AppError).message;
    }
    const allowed = (text: string | null): string => /allowed: (.*)$/.exec(text ?? '')?.[1] ?? '';
    expect(allowed(findTypeProblem('a.pdf'))).toBe(allowed(told));
  });
});

describe('output keys', () => {
  it('mirror the inbox', () => {
    expect(outputKeysOf('inbox/a/b/c.md')).toEqual({
      receipt: 'receipts/a/b/c.md.json',
      status: 'status/a/b/c.md.json',
      results: 'outbox/a/b/c.md/results.jsonl',
      manifest: 'outbox/a/b/c.md/manifest.json',
    });
  });
});
