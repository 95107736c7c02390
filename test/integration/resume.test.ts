import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openUnitLog } from '../../src/batch/index.ts';
import { openLocalBucket } from '../../src/local/index.ts';
import { keys, type ObjectStore, openS3ObjectStore } from '../../src/storage/index.ts';
import { pollToEnd, RunningStack, readLines } from '../support/stack-client.ts';

/** Workers end in mid-answer; the lines they leave go on where the last checkpoint stands, to the same text. */
let stack: RunningStack;
let store: ObjectStore;

/** Answers as a machine's metadata service does: 404 until there is a notice, which one worker gets to see. */
let notices = 0;
const metadata = createServer((request, response) => {
  const isNoticed = request.method === 'GET' && notices > 0;
  if (isNoticed) notices -= 1;
  response.writeHead(isNoticed ? 200 : 404).end(isNoticed ? '{"action":"terminate"}' : '');
});

beforeAll(async () => {
  metadata.listen(0, '127.0.0.1');
  await once(metadata, 'listening');
  const { port } = metadata.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/latest/meta-data/spot/instance-action`;
  // the same stories again and again: drafted from the ones before, they would end before a worker can be ended
  stack = await RunningStack.start({ env: { QUIRE_SPOT_NOTICE_URL: url, QUIRE_DRAFT_TOKENS: '0' } });
  const bucket = await openLocalBucket(stack.dataDir);
  store = openS3ObjectStore(bucket.s3);
});

afterAll(async () => {
  await stack?.remove();
  metadata.closeAllConnections();
  metadata.close();
});

const tenant = 'default';
const unitId = 'u000000';
const lineTotal = 3;
/** One line asks for two answers. */
const requestTotal = lineTotal + 1;
/** Four starts of everything on a machine that has other things to do. */
const patient = { timeout: 360_000 };
/** What an engine writes between two checkpoints. */
const intervalTokens = 64;

interface Answer {
  readonly text: string;
  readonly usage: Readonly<Record<string, unknown>>;
  readonly ext: {
    readonly attempts: number;
    readonly resumed_from: number | null;
    readonly resumed: string | null;
    readonly wasted_tokens: number;
  };
}

/** Chats long enough for several checkpoints, and too short for a shared prefix: no run can have it from another. */
async function submitChats(maxTokens: number): Promise<string> {
  const lines = Array.from({ length: lineTotal }, (_, index) =>
    JSON.stringify({
      custom_id: `line-${index}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: 'quire-nano',
        messages: [{ role: 'user', content: `Tell story ${index}.` }],
        max_completion_tokens: maxTokens,
        // one greedy line, the others drawn; two answers to the last
        temperature: index === 0 ? 0 : 1,
        seed: 40 + index,
        n: index === lineTotal - 1 ? 2 : 1,
      },
    }),
  );
  const { client } = stack;
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'),
    purpose: 'batch',
  });
  const batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  return batch.id;
}

async function readAnswers(batchId: string): Promise<ReadonlyMap<string, Answer>> {
  const batch = await pollToEnd(stack.client, batchId);
  expect(batch.request_counts).toEqual({ total: lineTotal, completed: lineTotal, failed: 0 });
  const lines = await readLines(stack.client, batch.output_file_id);
  expect(lines).toHaveLength(lineTotal);
  return new Map(
    lines.map((line) => {
      const { choices, usage, ext } = (line['response'] as { body: Answer & { choices: readonly object[] } }).body;
      return [String(line['custom_id']), { text: JSON.stringify(choices), usage, ext }];
    }),
  );
}

/** Resolves when the unit's log names a checkpoint of at least so many tokens. */
async function untilSaved(batchId: string, tokens: number): Promise<number> {
  const log = openUnitLog(store, tenant, batchId, unitId);
  for (;;) {
    const { checkpoint, results, epoch } = await log.fold();
    if (results.size > 0) throw new Error('a line ended before its worker did');
    if (checkpoint !== null && checkpoint.tokens >= tokens) return epoch;
    await wait(20);
  }
}

/** Resolves when a line is known to be further than the checkpoint: what the worker's end will cost. */
async function untilFurther(batchId: string): Promise<void> {
  const log = openUnitLog(store, tenant, batchId, unitId);
  for (;;) {
    const savedTokens = ((await log.fold()).checkpoint?.tokens ?? 0) / requestTotal;
    const batch = (await stack.client.batches.retrieve(batchId)) as unknown as {
      readonly ext: { readonly current: readonly { readonly completion_tokens: number }[] };
    };
    if (batch.ext.current.some((line) => line.completion_tokens >= savedTokens + 24)) return;
    await wait(20);
  }
}

function pidOfWorker(): number {
  const pid = stack.pids()['analysis'];
  if (pid === undefined) throw new Error(`no worker among ${JSON.stringify(stack.pids())}`);
  return pid;
}

const ends = {
  SIGKILL: () => process.kill(pidOfWorker(), 'SIGKILL'),
  SIGTERM: () => process.kill(pidOfWorker(), 'SIGTERM'),
  'spot notice': () => {
    notices = 1;
  },
} as const;

/** Ends the worker and waits until another one has claimed the unit. */
async function endWorker(batchId: string, how: keyof typeof ends): Promise<void> {
  const log = openUnitLog(store, tenant, batchId, unitId);
  const { epoch } = await log.fold();
  ends[how]();
  for (;;) {
    const state = await log.fold();
    if (state.epoch > epoch) return;
    if (state.sealed !== null) throw new Error('the unit ended before its worker did');
    await wait(50);
  }
}

async function listBlobs(batchId: string): Promise<number> {
  return (await store.list(keys.unitBlobs(tenant, batchId, unitId))).objects.length;
}

function expectSame(answers: ReadonlyMap<string, Answer>, expected: ReadonlyMap<string, Answer>): void {
  for (const [id, { text, usage }] of expected) expect({ id, ...pick(answers.get(id)) }).toEqual({ id, text, usage });
}

const pick = (answer: Answer | undefined) => ({ text: answer?.text, usage: answer?.usage });

describe('a line whose worker ended in mid-answer', () => {
  // 2,560 tokens in all: more than a fast machine writes in the second before the first checkpoint and the half behind
  const maxTokens = 640;
  let undisturbed: ReadonlyMap<string, Answer>;

  beforeAll(async () => {
    undisturbed = await readAnswers(await submitChats(maxTokens));
    for (const { ext } of undisturbed.values()) {
      expect(ext).toMatchObject({ attempts: 1, resumed_from: null, resumed: null, wasted_tokens: 0 });
    }
  }, patient.timeout);

  it.each([1, 2])('goes on to the same text and usage after %i kills of worker and engine', patient, async (kills) => {
    const batchId = await submitChats(maxTokens);
    for (let kill = 1; kill <= kills; kill++) {
      await untilSaved(batchId, kill * requestTotal * intervalTokens);
      await untilFurther(batchId);
      await endWorker(batchId, 'SIGKILL');
    }
    const answers = await readAnswers(batchId);
    expectSame(answers, undisturbed);
    for (const { ext } of answers.values()) {
      expect(ext.attempts).toBe(kills + 1);
      expect(ext.resumed_from).toBeGreaterThan(0);
      expect(ext.resumed).toBe('exact');
    }
    const wasted = [...answers.values()].map(({ ext }) => ext.wasted_tokens);
    // two requests under the last line, each kill costs each of them an interval at most; a checkpoint written just
    // before the kill, or news that got lost, make it less
    for (const tokens of wasted) expect(tokens).toBeLessThanOrEqual(kills * 2 * intervalTokens);
    console.info(`${kills} kills`, JSON.stringify([...answers.values()].map(({ ext }) => ext)));
    expect(await listBlobs(batchId)).toBe(0);
  });

  it('is streamed to its end, each piece of text once', patient, async () => {
    const ask = {
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'Tell another story.' }],
      max_completion_tokens: maxTokens,
      seed: 50,
    } as const;
    const whole = await stack.client.chat.completions.create({ ...ask, messages: [...ask.messages] });
    const stream = await stack.client.chat.completions.create({ ...ask, messages: [...ask.messages], stream: true });
    let text = '';
    let pieces = 0;
    for await (const { choices } of stream) {
      const delta = choices[0]?.delta as { readonly content?: string; readonly reasoning_content?: string } | undefined;
      text += `${delta?.reasoning_content ?? ''}${delta?.content ?? ''}`;
      pieces += 1;
      if (pieces === 100) process.kill(pidOfWorker(), 'SIGKILL');
    }
    const message = whole.choices[0]?.message as unknown as {
      readonly content: string;
      readonly reasoning_content: string;
    };
    expect(pieces).toBeGreaterThan(100);
    expect(text).toBe(`${message.reasoning_content}${message.content}`);
  });

  it('goes on where it was after a SIGTERM, with nothing computed twice', patient, async () => {
    const batchId = await submitChats(maxTokens);
    await untilSaved(batchId, 2 * intervalTokens);
    await endWorker(batchId, 'SIGTERM');
    const answers = await readAnswers(batchId);
    expectSame(answers, undisturbed);
    expectHandedOver(answers);
  });

  it('goes on where it was after a spot notice, with nothing computed twice', patient, async () => {
    // long enough to be in work when the worker looks for the notice the next time
    const longTokens = 1_200;
    const expected = await readAnswers(await submitChats(longTokens));
    await once(metadata, 'request');
    // it looks every 5 s
    await wait(3_000);
    const batchId = await submitChats(longTokens);
    await untilSaved(batchId, 1);
    await endWorker(batchId, 'spot notice');
    const answers = await readAnswers(batchId);
    expectSame(answers, expected);
    expectHandedOver(answers);
  });
});

function expectHandedOver(answers: ReadonlyMap<string, Answer>): void {
  for (const { ext } of answers.values()) {
    expect(ext.attempts).toBe(2);
    expect(ext.resumed).toBe('exact');
    // the tokens of the step that ran while the answer to the question for a checkpoint was on its way
    expect(ext.wasted_tokens).toBeLessThanOrEqual(8);
  }
  console.info('handed over', JSON.stringify([...answers.values()].map(({ ext }) => ext)));
}
