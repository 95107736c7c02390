import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import type { GenerateRequest, GenerateResult } from '../../../src/engine/messages.ts';
import { blockRows, type Tokenizer } from '../../../src/engine/ports.ts';
import { byteTokenizer, byteVocabulary } from '../../support/byte-tokenizer.ts';
import { openFakeRunner } from '../../support/fake-runner.ts';
import {
  chatMessage,
  generateRequest,
  openTestEngine,
  RecordingListener,
  type TestEngineOptions,
  withoutEnd,
} from '../../support/test-engine.ts';

/** A model that fails when a block before new rows is not there in INT8, or is another than in float32. */
function setUp(options: TestEngineOptions = {}) {
  const runner = openFakeRunner({ vocabularySize: byteVocabulary, promptStep: 64, rounds: true, quotes: true });
  const { engine, budget } = openTestEngine(runner, { prefillTokens: 2_048, ...options });
  const submit = (request: GenerateRequest, listener = new RecordingListener()) => engine.generate(request, listener);
  const finish = (): void => {
    engine.dropIdle();
    engine.checkIntegrity();
    expect(budget.held).toBe(0);
  };
  return { runner, engine, submit, finish };
}

/** Of a model without thoughts: the engine writes nothing behind a prompt. */
const thoughtless: Tokenizer = {
  ...byteTokenizer,
  specialId: (token) => {
    if (token.includes('think')) throw new AppError('input.model-folder', `no special token ${token}`);
    return byteTokenizer.specialId(token);
  },
};

/** Letters that come again, so that there is something to quote. */
const ask = (id: string, letters: number, more: Partial<GenerateRequest> = {}): GenerateRequest =>
  generateRequest(id, {
    messages: [chatMessage('user', `${id} ${'abcdefgh'.repeat(Math.ceil(letters / 8)).slice(0, letters)}`)],
    maxTokens: 40,
    ...withoutEnd,
    ...more,
  });

const textOf = ({ reasoning, content, finishReason }: GenerateResult) => ({ reasoning, content, finishReason });

describe('own blocks in INT8', () => {
  it.each([
    ['thinks', byteTokenizer],
    ['does not, so that the last row of a prompt is wanted', thoughtless],
  ] as const)('are read behind prompts of any length, where the model %s', async (_, tokenizer) => {
    const { submit, finish } = setUp({ tokenizer });
    const plain = setUp({ cache: false, maxSequences: 1, draftTokens: 0, prefillTokens: 64, tokenizer });
    const lengths = Array.from({ length: 24 }, (__, index) => 418 + index);
    const prompts = await Promise.all(
      lengths.map(async (letters) => {
        const answered = await submit(ask(`p${letters}`, letters, { maxTokens: 3 }));
        expect(textOf(answered)).toEqual(textOf(await plain.submit(ask(`p${letters}`, letters, { maxTokens: 3 }))));
        return answered.promptTokens;
      }),
    );
    expect(prompts).toContain(2 * blockRows);
    finish();
  });

  it('are read by drafted rows up to the end of their block', async () => {
    const { submit, runner, finish } = setUp({ draftTokens: 16 });
    const plain = setUp({ cache: false, maxSequences: 1, draftTokens: 0 });
    for (let letters = 110; letters < 130; letters += 3) {
      const request = ask('a', letters, { maxTokens: 160 });
      expect(textOf(await submit(request))).toEqual(textOf(await plain.submit(request)));
    }
    const ends = runner.runs
      .filter(({ sequences }) => (sequences[0]?.tokenIds.length ?? 0) > 1 && (sequences[0]?.start ?? 0) > 195)
      .map(({ sequences: [first] }) => (first?.start ?? 0) + (first?.tokenIds.length ?? 0));
    expect(ends).toContain(blockRows);
    expect(ends.some((end) => end > blockRows)).toBe(true);
    finish();
  });

  it('are made again where an answer goes on, a block at a time', async () => {
    const { submit, finish } = setUp();
    const request = ask('a', 150, { maxTokens: 700, checkpointEvery: { tokens: 650, ms: 1e9 } });
    const listener = new RecordingListener();
    const whole = await submit(request, listener);
    const resume = listener.checkpoints.at(-1) ?? expect.fail('no checkpoint');
    const elsewhere = setUp();
    const resumed = await elsewhere.submit({ ...request, resume });
    expect(textOf(resumed)).toEqual(textOf(whole));
    const rows = elsewhere.runner.runs.map(({ sequences: [first] }) => [first?.start, first?.tokenIds.length]);
    expect(rows).toContainEqual([blockRows, blockRows]);
    elsewhere.finish();
    finish();
  });

  it('belong to their sequence while others come and go', async () => {
    const plain = setUp({ cache: false, maxSequences: 1, draftTokens: 0 });
    const { submit, engine, finish } = setUp({ maxSequences: 6, blocks: 20 });
    const requests = Array.from({ length: 10 }, (_, index) =>
      ask(`r${index}`, 100 + ((index * 397) % 700), { maxTokens: 20 + ((index * 53) % 250), priority: index % 3 }),
    );
    const answers = await Promise.all(requests.map((request) => submit(request)));
    engine.checkIntegrity();
    for (const [index, request] of requests.entries()) {
      expect(textOf(answers[index] ?? expect.fail())).toEqual(textOf(await plain.submit(request)));
    }
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    finish();
  });

  it('let long prompts that share nothing decode in one run, however long each is', async () => {
    const plain = setUp({ cache: false, maxSequences: 1, draftTokens: 0 });
    const { submit, runner, finish } = setUp({ blocks: 120, draftTokens: 0 });
    const requests = [2_200, 2_500, 3_100].map((letters) => ask(`p${letters}`, letters, { maxTokens: 40 }));
    const answers = await Promise.all(requests.map((request) => submit(request)));
    for (const [index, request] of requests.entries()) {
      expect(textOf(answers[index] ?? expect.fail())).toEqual(textOf(await plain.submit(request)));
    }
    expect(answers.map(({ cacheMiss }) => cacheMiss)).toEqual(requests.map(() => 'below_minimum'));
    const together = runner.runs.filter(({ sequences }) => sequences.length === 3);
    expect(together.length).toBeGreaterThan(20);
    finish();
  });
});
