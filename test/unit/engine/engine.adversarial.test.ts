import { describe, expect, it } from 'vitest';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import type { PageTier } from '../../../src/engine/ports.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { openFakeRunner } from '../../support/fake-runner.ts';
import {
  chatMessage,
  generateRequest,
  openTestEngine,
  RecordingListener,
  type TestEngineOptions,
  withoutEnd,
} from '../../support/test-engine.ts';

/** Odd moments: memory that is nearly gone, pages that never come, callers that throw or come back at once. */
function setUp(options: TestEngineOptions = {}) {
  const runner = openFakeRunner({ vocabularySize: byteVocabulary });
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

/** About a document of three full blocks and a little more. */
function ask(id: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const messages = [chatMessage('user', 'lorem ipsum '.repeat(66)), chatMessage('user', `${id}?`)];
  return generateRequest(id, { messages, sharedMessages: 1, ...more });
}

/** Has every page, and gives none before it is told to: then none is there any more. */
function openHeldTier() {
  const asked: (() => void)[] = [];
  const zero = { pages: 0, bytes: 0, budgetBytes: 0, hits: 0, misses: 0, writes: 0, evictions: 0, corrupt: 0 };
  let isLost = false;
  const tier: PageTier = {
    has: () => !isLost,
    load: () => new Promise((resolve) => asked.push(() => resolve(undefined))),
    save: async () => {},
    stats: () => zero,
    close: async () => {},
  };
  const lose = (): void => {
    isLost = true;
    for (const answer of asked) answer();
  };
  return { tier, asked, lose };
}

async function turns(total: number): Promise<void> {
  for (let turn = 0; turn < total; turn++) await new Promise(setImmediate);
}

const cancelled = { status: 'rejected', reason: { code: 'cancelled.by-user' } };

describe('Engine in odd moments', () => {
  it('lets the last of a group grow into the memory that the others left', async () => {
    // each fills 3 blocks and will need 5: when all have 3 of the 10, some have to go
    const { submit, engine, finish } = setUp({ blocks: 10 });
    const messages = [chatMessage('system', 'Answer.'), chatMessage('user', 'x'.repeat(680))];
    const request = { ...withoutEnd, messages, sharedMessages: 1, maxTokens: 400 };
    const results = await Promise.all(['a', 'b', 'c'].map((id) => submit(generateRequest(id, request))));
    expect(results.map(({ completionTokens }) => completionTokens)).toEqual([400, 400, 400]);
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    finish();
  });

  it('takes the memory of a window whose pages are on their way to nobody', async () => {
    const { tier, asked, lose } = openHeldTier();
    const { submit, engine, finish } = setUp({ blocks: 12, tier });
    const tenants = ['1', '2', '3'];
    const left = Promise.allSettled(tenants.map((tenant) => submit(ask(tenant, { tenant }))));
    await turns(5);
    expect(asked.length).toBe(9);
    for (const tenant of tenants) engine.cancel(tenant);
    expect(await left).toMatchObject([cancelled, cancelled, cancelled]);
    const next = submit(generateRequest('next', { ...withoutEnd, maxTokens: 400 }));
    expect((await next).completionTokens).toBe(400);
    lose();
    await turns(5);
    finish();
  });

  it('grows at the cost of those whose pages are still on their way', async () => {
    const { tier, lose } = openHeldTier();
    const { submit, engine, finish } = setUp({ blocks: 9, tier });
    const first = submit(generateRequest('first', { ...withoutEnd, maxTokens: 800 }));
    const others = ['1', '2'].map((tenant) => submit(ask(tenant, { tenant })));
    expect((await first).completionTokens).toBe(800);
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    lose();
    expect((await Promise.all(others)).map(({ completionTokens }) => completionTokens)).toEqual([16, 16]);
    finish();
  });

  it('waits for a page as long as it takes, whoever comes and goes meanwhile', async () => {
    const { tier, lose } = openHeldTier();
    const { submit, engine, finish } = setUp({ tier });
    const running = submit(ask('a'));
    for (let index = 0; index < 20; index++) {
      await turns(1);
      engine.cancel('nobody');
    }
    lose();
    expect((await running).completionTokens).toBe(16);
    finish();
  });

  it('hears a request that comes in the very moment when there is nothing left to do', async () => {
    const { submit, finish } = setUp();
    for (let ticks = 0; ticks < 24; ticks++) {
      await submit(generateRequest(`a${ticks}`, { maxTokens: 3 }));
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      let hasEnded = false;
      const next = submit(generateRequest(`b${ticks}`, { maxTokens: 3 })).then(() => {
        hasEnded = true;
      });
      await turns(20);
      expect(hasEnded, `after ${ticks} ticks`).toBe(true);
      await next;
    }
    finish();
  });

  it.each(['onProgress', 'onDelta', 'onCheckpoint'] as const)(
    'ends only the request whose listener throws, in %s',
    async (name) => {
      const { submit, engine, finish } = setUp();
      const broken = new RecordingListener();
      let calls = 0;
      broken[name] = () => {
        calls++;
        if (calls === 3) throw new Error('nobody listens');
      };
      const more = { ...withoutEnd, stream: true, checkpointEvery: { tokens: 2, ms: 1e9 } };
      const settled = await Promise.allSettled([
        submit(ask('a', more)),
        submit(ask('b', more), broken),
        submit(ask('c', more)),
      ]);
      expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(settled[1]).toMatchObject({ reason: { message: 'nobody listens' } });
      expect(engine.stats().running + engine.stats().waiting).toBe(0);
      finish();
    },
  );
});

describe('embeddings beside sequences', () => {
  const embed = ({ engine }: ReturnType<typeof setUp>, id: string, priority: number, texts: readonly string[]) =>
    engine.embed({ id, inputs: texts, priority, deadlineMs: null });

  it('get their turn in a stream of requests that takes all memory', async () => {
    const all = setUp({ blocks: 18, maxSequences: 64 });
    let isOver = false;
    let answers = 0;
    // each caller comes back when it has its answer: there is always one who waits for a place
    const callers = Array.from({ length: 20 }, async (_, caller) => {
      for (let index = 0; !isOver && index < 20; index++) {
        await all.submit(generateRequest(`${caller} ${index}`, { ...withoutEnd, maxTokens: 8 + caller }));
        answers++;
      }
    });
    await turns(20);
    const { vectors } = await embed(all, 'e', 1, ['y'.repeat(760)]);
    const answersBefore = answers;
    isOver = true;
    await Promise.all(callers);
    expect(vectors.length).toBe(1);
    expect(answersBefore).toBeLessThan(60);
    all.finish();
  });

  it('go in the order of their priority, even when one has begun', async () => {
    const all = setUp({ prefillTokens: 64 });
    const ends: string[] = [];
    const run = async (id: string, priority: number, texts: readonly string[]) => {
      const { vectors } = await embed(all, id, priority, texts);
      ends.push(id);
      return vectors;
    };
    const low = run('low', 5, ['x'.repeat(600), 'z'.repeat(700), 'x'.repeat(300)]);
    await turns(30);
    const [, vectors] = await Promise.all([run('high', 1, ['y'.repeat(300)]), low]);
    expect(ends).toEqual(['high', 'low']);
    const alone = await embed(setUp(), 'alone', 1, ['x'.repeat(600), 'z'.repeat(700), 'x'.repeat(300)]);
    expect(vectors).toEqual(alone.vectors);
    all.finish();
  });

  it('rejects hidden states that are not numbers', async () => {
    const runner = openFakeRunner({ vocabularySize: byteVocabulary });
    const run = async (input: Parameters<typeof runner.run>[0]) => {
      const output = await runner.run(input);
      output.hidden.fill(Number.NaN);
      return output;
    };
    const { engine } = openTestEngine({ ...runner, run });
    const running = engine.embed({ id: 'e', inputs: ['fine', 'text'], priority: 1, deadlineMs: null });
    await expect(running).rejects.toMatchObject({ code: 'bug.invariant', message: expect.stringContaining('input 0') });
  });
});
