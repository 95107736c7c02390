import { describe, expect, it } from 'vitest';
import { openMemoryTier } from '../../../src/engine/kv/memory-tier.ts';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { type FakeRunnerOptions, openFakeRunner } from '../../support/fake-runner.ts';
import {
  chatMessage,
  generateRequest,
  openTestEngine,
  RecordingListener,
  type TestEngineOptions,
  withoutEnd,
} from '../../support/test-engine.ts';

/** The machinery on a model without weights, whose rows tell when one is read from the wrong place. */
function setUp(options: TestEngineOptions = {}, runnerOptions: Partial<FakeRunnerOptions> = {}) {
  const runner = openFakeRunner({ vocabularySize: byteVocabulary, ...runnerOptions });
  const opened = openTestEngine(runner, options);
  const submit = (request: GenerateRequest, listener = new RecordingListener()) =>
    opened.engine.generate(request, listener);
  const finish = (): void => {
    opened.engine.dropIdle();
    opened.engine.checkIntegrity();
    expect(opened.budget.held).toBe(0);
  };
  return { ...opened, runner, submit, finish };
}

/** About a document of `blocks` full blocks and a little more. */
function ask(id: string, blocks: number, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const document = `Document ${'lorem ipsum '.repeat(22 * blocks)}`.slice(0, 256 * blocks);
  const messages = [chatMessage('system', 'Answer.'), chatMessage('user', document), chatMessage('user', `${id}?`)];
  return generateRequest(id, { messages, sharedMessages: 2, ...more });
}

const outputOf = ({
  reasoning,
  content,
  toolCalls,
  finishReason,
}: Awaited<ReturnType<ReturnType<typeof setUp>['submit']>>) => ({
  reasoning,
  content,
  toolCalls,
  finishReason,
});

describe('Engine', () => {
  it('answers a request as the model alone would', async () => {
    const plain = setUp({ cache: false, maxSequences: 1 });
    const { submit, finish } = setUp();
    const [alone, batched] = [await plain.submit(ask('a', 3)), await submit(ask('a', 3))];
    expect(outputOf(batched)).toEqual(outputOf(alone));
    expect(batched).toMatchObject({ cachedTokens: 0, cacheMiss: 'first_of_group', resumed: null });
    finish();
  });

  it('reads a shared document once, and decodes its questions together', async () => {
    const { submit, runner, finish } = setUp();
    const results = await Promise.all(['a', 'b', 'c', 'd'].map((id) => submit(ask(id, 3))));
    expect(results.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 768, 768, 768]);
    expect(results.map(({ cacheMiss }) => cacheMiss)).toEqual(['first_of_group', null, null, null]);
    const prefills = runner.runs.filter(({ sequences }) => sequences.every(({ wanted }) => wanted === 0));
    expect(prefills.filter(({ sequences }) => (sequences[0]?.start ?? 0) < 768).length).toBe(3);
    expect(Math.max(...runner.runs.map(({ sequences }) => sequences.length))).toBe(4);
    finish();
  });

  it.each([
    ['has the same form everywhere', null, [256, 512]],
    ['has a form of its own', 64, [0, 256]],
  ] as const)('takes blocks of the turn before where a prompt %s', async (_, promptStep, cachedTokens) => {
    const plain = setUp({ cache: false, maxSequences: 1 }, { promptStep });
    const { submit, finish } = setUp({}, { promptStep });
    const messages = [chatMessage('user', 'p'.repeat(100))];
    // the first answer fills the block that its prompt has begun, the second one a block behind two
    for (const [index, cached] of [0, ...cachedTokens].entries()) {
      const request = generateRequest(`${index}`, { messages: [...messages], maxTokens: 240, thinkingBudget: 0 });
      const [alone, answered] = [await plain.submit(request), await submit(request)];
      expect(outputOf(answered)).toEqual(outputOf(alone));
      expect(answered.cachedTokens, `turn ${index}`).toBe(cached);
      messages.push({ ...chatMessage('assistant', answered.content), reasoning: '' }, chatMessage('user', 'Go on.'));
    }
    finish();
  });

  it('reads the blocks of a prompt that has a form of its own by themselves, and its end with others', async () => {
    const answers: Promise<unknown>[] = [];
    const add = (letter: string, priority: number): void => {
      const messages = [chatMessage('user', letter.repeat(300))];
      answers.push(submit(generateRequest(letter, { messages, sharedMessages: 0, priority })));
    };
    // more urgent ones come while the blocks of the first are read: its end would fit beside them
    const onRun = (): void => {
      if (runner.runs.length === 1) for (const letter of ['b', 'c']) add(letter, 0);
    };
    const { submit, runner, finish } = setUp({ prefillTokens: 2_048 }, { promptStep: 64, onRun });
    add('a', 1);
    await answers[0];
    await Promise.all(answers);
    const beginning = runner.runs.filter(({ sequences }) => sequences.some(({ start }) => start === 0));
    const widths = beginning.map(({ sequences }) => sequences.map(({ tokenIds }) => tokenIds.length));
    expect(widths).toEqual([[256], [256], [256]]);
    expect(runner.runs.some(({ sequences }) => sequences.length > 1)).toBe(true);
    finish();
  });

  it('keeps what two documents have in common at their start', async () => {
    const { submit } = setUp();
    await submit(ask('a', 4));
    const document = `Document ${'lorem ipsum '.repeat(22 * 4)}`.slice(0, 700);
    const messages = [
      chatMessage('system', 'Answer.'),
      chatMessage('user', `${document} and so on ${'x'.repeat(400)}`),
    ];
    const other = await submit(
      generateRequest('b', { messages: [...messages, chatMessage('user', 'b?')], sharedMessages: 2 }),
    );
    expect(other.cachedTokens).toBe(512);
  });

  it('decodes short prompts that share nothing together', async () => {
    const { submit, runner } = setUp();
    const messages = (index: number) => [chatMessage('user', `${index} ${'z'.repeat(600)}`)];
    const ids = [0, 1, 2, 3];
    await Promise.all(ids.map((id) => submit(generateRequest(`r${id}`, { messages: messages(id), ...withoutEnd }))));
    expect(Math.max(...runner.runs.map(({ sequences }) => sequences.length))).toBe(4);
  });

  it('shares nothing between tenants', async () => {
    const { submit } = setUp();
    await submit(ask('a', 3));
    expect(await submit(ask('b', 3, { tenant: 'other' }))).toMatchObject({ cachedTokens: 0 });
    expect(await submit(ask('c', 3))).toMatchObject({ cachedTokens: 768 });
  });

  it('reads pages of an earlier process from the tier below memory', async () => {
    const tier = openMemoryTier(1 << 24);
    const first = setUp({ tier });
    const cold = await first.submit(ask('a', 3));
    const second = setUp({ tier });
    const warm = await second.submit(ask('a', 3));
    expect(outputOf(warm)).toEqual(outputOf(cold));
    expect(warm).toMatchObject({ cachedTokens: 768, cacheMiss: null });
    expect(second.engine.stats().tiers.disk?.hits).toBe(3);
    second.finish();
  });

  it('says that a prefix was evicted, when it was', async () => {
    const { submit, finish } = setUp({ blocks: 16 });
    await submit(ask('a', 3));
    const other = { messages: [chatMessage('user', 'y'.repeat(1_100)), chatMessage('user', '?')], sharedMessages: 1 };
    for (const tenant of ['1', '2', '3', '4']) await submit(generateRequest('b', { ...other, tenant }));
    expect(await submit(ask('c', 3))).toMatchObject({ cacheMiss: 'evicted' });
    finish();
  });

  it('gives up an idle window before it evicts the pages of another document', async () => {
    const { submit, cache, budget } = setUp({ blocks: 12 });
    await submit(ask('a', 3));
    const pages = cache.pageTotal;
    // the second needs three for its window, one for its own rows and three for its pages: more than are free
    expect([pages, budget.free]).toEqual([3, 6]);
    const messages = [chatMessage('user', 'y'.repeat(900)), chatMessage('user', '?')];
    await submit(generateRequest('b', { messages, sharedMessages: 1 }));
    expect(await submit(ask('c', 3))).toMatchObject({ cachedTokens: 768, cacheMiss: null });
  });

  it('goes on from the rows of an earlier turn', async () => {
    const { submit, runner } = setUp();
    const first = [chatMessage('system', 'Answer.'), chatMessage('user', 'q'.repeat(100))];
    const { content } = await submit(generateRequest('a', { messages: first, maxTokens: 300, ...withoutEnd }));
    const before = runner.runs.length;
    const messages = [...first, chatMessage('assistant', content), chatMessage('user', 'more?')];
    const next = await submit(generateRequest('b', { messages, sharedMessages: 3, maxTokens: 3 }));
    expect(next.cachedTokens).toBe(256);
    expect(runner.runs.slice(before).every(({ sequences }) => (sequences[0]?.start ?? 0) >= 256)).toBe(true);
  });

  it('delays a short request by one chunk of a long one at the most', async () => {
    const order: string[] = [];
    let inRun: readonly string[] = [];
    let short: Promise<unknown> | null = null;
    const onRun = (): void => {
      order.push(...inRun);
      if (order.length === 5) short = submit(generateRequest('short', { maxTokens: 3 }));
    };
    const { engine, submit } = setUp({ blocks: 600 }, { onRun });
    engine.onRun((ids) => {
      inRun = ids;
    });
    await submit(ask('long', 40));
    await short;
    // it came during the fifth run, and read its prompt in the sixth, long before the other was done
    expect(order.indexOf('short')).toBe(5);
    expect(order.lastIndexOf('short')).toBeLessThan(12);
    expect(order.filter((id) => id === 'long').length).toBeGreaterThan(40);
  });

  it('serves the better priority first, and takes places for it', async () => {
    const ends: string[] = [];
    const { submit, engine, finish } = setUp({ maxSequences: 1 });
    const run = (id: string, priority: number) => submit(ask(id, 1, { priority })).then(() => ends.push(id));
    const [low, other] = [run('low', 2), run('other', 2)];
    await new Promise(setImmediate);
    await Promise.all([low, other, run('high', 1)]);
    expect(ends).toEqual(['high', 'low', 'other']);
    expect(engine.stats().preemptions).toBe(1);
    finish();
  });

  it('takes the earlier deadline first', async () => {
    const ends: string[] = [];
    const { submit } = setUp({ maxSequences: 1 });
    const run = (id: string, deadlineMs: number | null) => submit(ask(id, 1, { deadlineMs })).then(() => ends.push(id));
    await Promise.all([run('never', null), run('later', 2_000), run('soon', 1_000)]);
    expect(ends).toEqual(['soon', 'later', 'never']);
  });

  it('gives up places when memory runs out, and finishes everybody with the same answers', async () => {
    const requests = Array.from({ length: 4 }, (_, index) => ask(`r${index}`, 1, { maxTokens: 300, ...withoutEnd }));
    const plain = setUp({ cache: false, maxSequences: 1 });
    const alone = [];
    for (const request of requests) alone.push(outputOf(await plain.submit(request)));
    const { submit, engine, finish } = setUp({ blocks: 6 });
    const results = await Promise.all(requests.map((request) => submit(request)));
    expect(results.map(outputOf)).toEqual(alone);
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    finish();
  });

  it('refuses a prompt that memory could never hold, with both numbers', async () => {
    const { submit } = setUp({ blocks: 6 });
    await expect(submit(ask('a', 4))).rejects.toMatchObject({
      code: 'input.context-length',
      message: expect.stringMatching(
        /^prompt of \d+ tokens does not fit the 768 tokens that the memory for latents holds/,
      ),
    });
  });

  it('refuses an answer that memory could cut short, since another machine would not', async () => {
    const { submit } = setUp({ blocks: 6 });
    const long = { ...ask('a', 1), maxTokens: 700 };
    await expect(submit(long)).rejects.toMatchObject({
      code: 'input.context-length',
      message: expect.stringMatching(
        /does not fit the 768 tokens that the memory for latents holds with 700 for the answer$/,
      ),
    });
  });

  it('refuses a prompt longer than the window', async () => {
    const { submit } = setUp({}, { contextTokens: 500 });
    await expect(submit(ask('a', 2))).rejects.toMatchObject({
      code: 'input.context-length',
      message: expect.stringMatching(/^prompt of \d+ tokens does not fit the model's window of 500 tokens/),
    });
  });

  it('cancels within one run, wherever the request is', async () => {
    let runs = 0;
    const onRun = (): void => {
      runs++;
      if (runs === 8) for (const id of ['decoding', 'prefilling', 'waiting', 'unknown']) engine.cancel(id);
    };
    const { engine, submit, finish } = setUp({ maxSequences: 2 }, { onRun });
    const [decoding, prefilling, waiting] = [
      submit(ask('decoding', 1, { maxTokens: 200, ...withoutEnd })),
      submit(ask('prefilling', 20)),
      submit(ask('waiting', 1)),
    ];
    const settled = await Promise.allSettled([decoding, prefilling, waiting]);
    const cancelled = { status: 'rejected', reason: { code: 'cancelled.by-user' } };
    expect(settled).toMatchObject([cancelled, cancelled, cancelled]);
    expect(runs).toBe(8);
    finish();
  });

  it('ends only the request whose logits are broken', async () => {
    let total = 0;
    const runner = openFakeRunner({ vocabularySize: byteVocabulary });
    const broken = {
      ...runner,
      runMs: 0,
      run: async (input: Parameters<typeof runner.run>[0]) => {
        const output = await runner.run(input);
        total++;
        if (total === 6 && output.logits.length > byteVocabulary) output.logits.fill(Number.NaN, 0, byteVocabulary);
        return output;
      },
    };
    const { engine, budget } = openTestEngine(broken);
    const settled = await Promise.allSettled(
      ['a', 'b', 'c'].map((id) => engine.generate(ask(id, 1), new RecordingListener())),
    );
    expect(settled.filter(({ status }) => status === 'rejected').length).toBe(1);
    engine.dropIdle();
    engine.checkIntegrity();
    expect(budget.held).toBe(0);
  });

  it('leaves no rows that are not numbers to whoever comes next', async () => {
    const runner = openFakeRunner({ vocabularySize: byteVocabulary });
    let total = 0;
    const broken = {
      ...runner,
      runMs: 0,
      run: async (input: Parameters<typeof runner.run>[0]) => {
        const output = await runner.run(input);
        total++;
        // rows of a prompt that nobody has asked logits of yet
        if (total === 1) output.latents.fill(Number.NaN);
        return output;
      },
    };
    const { engine, budget } = openTestEngine(broken, { maxSequences: 1 });
    const long = generateRequest('a', { messages: [chatMessage('user', 'x'.repeat(600))] });
    const short = generateRequest('b', { messages: [chatMessage('user', 'y'.repeat(550))] });
    const settled = await Promise.allSettled(
      [long, short].map((each) => engine.generate(each, new RecordingListener())),
    );
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(budget.held).toBe(0);
  });

  it('ends an answer without a limit where memory ends', async () => {
    const { submit } = setUp({ blocks: 6 });
    const result = await submit(ask('a', 1, { maxTokens: null, ...withoutEnd }));
    expect(result).toMatchObject({ finishReason: 'length' });
    expect(result.promptTokens + result.completionTokens).toBe(3 * 256);
  });

  it('ends the requests of a run that failed, and goes on with others', async () => {
    let isBroken = true;
    const { submit, finish } = setUp(
      {},
      {
        onRun: ({ sequences }) => {
          if (isBroken && sequences.length > 1) throw new Error('out of luck');
        },
      },
    );
    const settled = await Promise.allSettled(['a', 'b'].map((id) => submit(ask(id, 1))));
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    isBroken = false;
    expect((await submit(ask('c', 1))).completionTokens).toBe(16);
    finish();
  });

  it('resumes from a checkpoint in another engine as if nothing had happened', async () => {
    const request = ask('a', 2, {
      ...withoutEnd,
      maxTokens: 40,
      thinkingBudget: 12,
      checkpointEvery: { tokens: 8, ms: 1e9 },
    });
    const listener = new RecordingListener();
    const whole = await setUp().submit(request, listener);
    expect(listener.checkpoints.length).toBeGreaterThanOrEqual(4);
    for (const checkpoint of listener.checkpoints) {
      const resume = JSON.parse(JSON.stringify(checkpoint)) as typeof checkpoint;
      const resumed = await setUp().submit({ ...request, resume });
      expect(outputOf(resumed)).toEqual(outputOf(whole));
      expect(resumed).toMatchObject({
        resumed: 'exact',
        resumedTokens: checkpoint.tokenIds.length,
        completionTokens: whole.completionTokens,
        cachedTokens: whole.cachedTokens,
        cacheMiss: whole.cacheMiss,
      });
    }
  });

  it('refuses a checkpoint of another prompt, and says when the engine is another', async () => {
    const listener = new RecordingListener();
    const request = ask('a', 1, { checkpointEvery: { tokens: 4, ms: 1e9 } });
    await setUp().submit(request, listener);
    const [resume] = listener.checkpoints;
    if (resume === undefined) throw new Error('no checkpoint');
    await expect(setUp().submit({ ...ask('b', 1), resume })).rejects.toMatchObject({ code: 'corrupt.record' });
    const elsewhere = await setUp().submit({ ...request, resume: { ...resume, engineDigest: 'e'.repeat(64) } });
    expect(elsewhere.resumed).toBe('tokens');
    const versioned = { ...resume, version: 2 } as unknown as typeof resume;
    await expect(setUp().submit({ ...request, resume: versioned })).rejects.toMatchObject({ code: 'corrupt.version' });
  });

  it('saves after a time too, and when asked', async () => {
    let clock = 0;
    const { submit, engine } = setUp({ nowMs: () => clock++ });
    const listener = new RecordingListener();
    const running = submit(
      ask('a', 1, { ...withoutEnd, maxTokens: 60, checkpointEvery: { tokens: 1e9, ms: 20 } }),
      listener,
    );
    engine.checkpoint('a');
    engine.checkpoint('unknown');
    expect(listener.checkpoints.map(({ tokenIds }) => tokenIds.length <= 2)).toEqual([true]);
    await running;
    expect(listener.checkpoints.length).toBeGreaterThan(1);
  });

  it('streams what the answer gains', async () => {
    const listener = new RecordingListener();
    const result = await setUp().submit(ask('a', 1, { stream: true, thinkingBudget: 6 }), listener);
    expect(listener.deltas.map(({ content }) => content).join('')).toBe(result.content);
    expect(listener.deltas.map(({ reasoning }) => reasoning).join('')).toBe(result.reasoning);
  });

  it('reports waiting, reading, thinking and answering in that order', async () => {
    const listener = new RecordingListener();
    await setUp().submit(ask('a', 2, { thinkingBudget: 5 }), listener);
    const phases = listener.progress.map(({ phase }) => phase).filter((phase, at, all) => phase !== all[at - 1]);
    expect(phases).toEqual(['wait', 'prefill', 'think', 'answer']);
    expect(listener.progress.map(({ prefilledTokens }) => prefilledTokens)).toContain(256);
  });

  it('embeds texts: mean of the hidden states, of length 1, whatever else runs', async () => {
    const { engine, submit, finish } = setUp();
    const inputs = ['short', 'x'.repeat(600), [1, 2, 3]];
    const embed = (id: string, given: typeof inputs) =>
      engine.embed({ id, inputs: given, priority: 1, deadlineMs: null });
    const [all, , alone] = await Promise.all([embed('e', inputs), submit(ask('a', 2)), embed('f', ['short'])]);
    expect(all.promptTokens).toBe(5 + 600 + 3);
    expect(all.vectors.length).toBe(3);
    expect(alone.vectors).toEqual(all.vectors.slice(0, 1));
    for (const vector of all.vectors) {
      const bytes = Buffer.from(vector, 'base64');
      const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      expect(values.length).toBe(all.width);
      expect(values.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 5);
    }
    finish();
  });

  it('refuses inputs it cannot embed', async () => {
    const { engine } = setUp({ blocks: 12 });
    const embed = (inputs: (string | number[])[]) => engine.embed({ id: 'e', inputs, priority: 1, deadlineMs: null });
    await expect(embed([])).rejects.toThrow('no input is given');
    await expect(embed(['a', ''])).rejects.toThrow('input 1 is empty');
    await expect(embed([[7, byteVocabulary]])).rejects.toThrow(`input 0 has the token id ${byteVocabulary}`);
    await expect(embed(['x'.repeat(800)])).rejects.toMatchObject({ code: 'input.context-length' });
  });

  it('cancels an embedding', async () => {
    const { engine, finish } = setUp();
    const running = engine.embed({ id: 'e', inputs: ['x'.repeat(2_000)], priority: 1, deadlineMs: null });
    engine.onRun(() => engine.cancel('e'));
    await expect(running).rejects.toMatchObject({ code: 'cancelled.by-user' });
    finish();
  });
});
