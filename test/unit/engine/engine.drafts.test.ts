import { describe, expect, it } from 'vitest';
import type { Drafter } from '../../../src/engine/draft/drafter.ts';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import type { ModelRunner, StepInput, StepOutput } from '../../../src/engine/ports.ts';
import type { Sequence } from '../../../src/engine/sequence.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { type FakeRunnerOptions, openFakeRunner } from '../../support/fake-runner.ts';
import { openScriptedDrafter } from '../../support/scripted-drafter.ts';
import {
  chatMessage,
  generateRequest,
  openTestEngine,
  RecordingListener,
  type TestEngineOptions,
  withoutEnd,
} from '../../support/test-engine.ts';

/** Tokens guessed ahead, on a model that quotes its prompt most of the time: everything as without, in fewer runs. */
function setUp(options: TestEngineOptions = {}, runnerOptions: Partial<FakeRunnerOptions> = {}) {
  const runner = openFakeRunner({ vocabularySize: byteVocabulary, quotes: true, ...runnerOptions });
  const opened = openTestEngine(runner, options);
  const listener = new RecordingListener();
  const submit = (request: GenerateRequest) => opened.engine.generate(request, listener);
  const finish = (): void => {
    opened.engine.dropIdle();
    opened.engine.checkIntegrity();
    expect(opened.budget.held).toBe(0);
  };
  return { ...opened, runner, listener, submit, finish };
}

const document = 'The tenant pays on the first day of the month; the landlord mends the roof when it leaks. '.repeat(7);

function ask(id: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const messages = [chatMessage('user', document), chatMessage('user', `${id}: who mends the roof?`)];
  const logprobs = 1;
  return generateRequest(id, { messages, sharedMessages: 1, logprobs, maxTokens: 120, stream: true, ...more });
}

/** The whole token log of an answer but its last token, which is all that a drafter may need. */
async function logOf(request: GenerateRequest): Promise<readonly number[]> {
  const { submit, listener } = setUp({ draftTokens: 0 });
  await submit({ ...request, checkpointEvery: { tokens: 1, ms: 1e9 } });
  return listener.checkpoints.at(-1)?.tokenIds ?? [];
}

/** Drafts so many tokens of the true answer, and then `wrong` ones. */
async function openTrueDrafter(request: GenerateRequest, total: number, wrong: readonly number[] = []) {
  const log = await logOf(request);
  const drafter: Drafter<Sequence> = {
    draft: ({ members }) =>
      members.map(({ answer }) => [...log.slice(answer.completionTokens, answer.completionTokens + total), ...wrong]),
    learn: () => {},
    remember: () => {},
  };
  return drafter;
}

describe('Engine with drafts', () => {
  it('says the same, in the same deltas and checkpoints, in fewer runs', async () => {
    const request = ask('a', { ...withoutEnd, checkpointEvery: { tokens: 7, ms: 1e9 }, thinkingBudget: 20 });
    const plain = setUp({ draftTokens: 0 });
    const drafting = setUp();
    expect(await drafting.submit(request)).toEqual(await plain.submit(request));
    expect(drafting.listener.deltas).toEqual(plain.listener.deltas);
    expect(drafting.listener.checkpoints).toEqual(plain.listener.checkpoints);
    expect(drafting.runner.runs.length).toBeLessThan(plain.runner.runs.length * 0.85);
    drafting.finish();
  });

  it('counts what it drafted and what came true, and answers tokens as without', async () => {
    const plain = setUp({ draftTokens: 0 });
    const drafting = setUp();
    for (const { submit } of [plain, drafting]) await submit(ask('a', withoutEnd));
    // an answer is told before its last run is counted
    await new Promise(setImmediate);
    const { draftedTokens, acceptedTokens, decodeTokens, prefillTokens } = drafting.engine.stats();
    expect(acceptedTokens).toBeGreaterThan(40);
    expect(draftedTokens).toBeGreaterThan(acceptedTokens);
    expect(plain.engine.stats()).toMatchObject({ draftedTokens: 0, acceptedTokens: 0, decodeTokens, prefillTokens });
  });

  it('lets the drafter remember answers that are whole, and no others', async () => {
    const remembered: string[] = [];
    const drafter: Drafter<Sequence> = {
      draft: ({ members }) => members.map(() => []),
      learn: () => {},
      remember: ({ request, answer }) => remembered.push(`${request.id} ${answer.completionTokens}`),
    };
    const { submit, engine, listener } = setUp({ drafter });
    await submit(ask('whole', { ...withoutEnd, maxTokens: 30 }));
    listener.onDelta = () => engine.cancel('cancelled');
    await expect(submit(ask('cancelled', withoutEnd))).rejects.toMatchObject({ code: 'cancelled.by-user' });
    expect(remembered).toEqual(['whole 30']);
  });

  it('drafts from the answer before in fewer runs, and says the same', async () => {
    const runsOf = async (secondTenant: string): Promise<number> => {
      const { submit, runner } = setUp({}, { quotes: false });
      const first = await submit(ask('a', withoutEnd));
      const before = runner.runs.length;
      const { content } = await submit({ ...ask('a', withoutEnd), tenant: secondTenant });
      expect(content).toBe(first.content);
      return runner.runs.length - before;
    };
    expect(await runsOf(ask('a').tenant)).toBeLessThan((await runsOf('another')) / 2);
  });

  it('goes on from a checkpoint made between two tokens of one run', async () => {
    const request = ask('a', { ...withoutEnd, checkpointEvery: { tokens: 1, ms: 1e9 } });
    const { submit, listener } = setUp();
    const whole = await submit(request);
    for (const checkpoint of listener.checkpoints.filter((_, index) => index % 9 === 0)) {
      const resume = JSON.parse(JSON.stringify(checkpoint)) as typeof checkpoint;
      const { content, logprobs, finishReason } = whole;
      expect(await setUp().submit({ ...request, resume })).toMatchObject({ content, logprobs, finishReason });
    }
  });

  it.each([256, 32])(
    'keeps the pages it would keep without, and no other, with own rows in steps of %i',
    async (rowStep) => {
      const request = ask('a', { ...withoutEnd, maxTokens: 700 });
      const log = await logOf(request);
      const pagesOf = async (options: TestEngineOptions) => {
        const { submit, cache, finish } = setUp(options, { rowStep });
        await submit(request);
        finish();
        return cache.pageTotal;
      };
      const drafter = openScriptedDrafter(new Map([['a', log]]), 3, byteVocabulary);
      expect(await pagesOf({ drafter })).toBe(await pagesOf({ draftTokens: 0 }));
      expect(drafter.tally.accepted).toBeGreaterThan(200);
      expect(drafter.tally.differed).toBeGreaterThan(30);
    },
  );

  it('reads rows whose first try was wrong as they were computed at last', async () => {
    const request = ask('a', withoutEnd);
    const expected = await setUp({ draftTokens: 0 }).submit(request);
    // every run has two right tokens and three wrong ones
    const { submit, engine, finish } = setUp({ drafter: await openTrueDrafter(request, 2, [1, 2, 3]) });
    expect(await submit(request)).toEqual(expected);
    const { acceptedTokens, draftedTokens } = engine.stats();
    expect(acceptedTokens).toBeGreaterThan(70);
    expect(draftedTokens).toBeGreaterThan(acceptedTokens * 2);
    finish();
  });

  it('stays within the window and the length of the answer, whatever is drafted', async () => {
    const request = ask('a', { ...withoutEnd, maxTokens: 50 });
    const expected = await setUp({ draftTokens: 0 }).submit(request);
    const contextTokens = expected.promptTokens + 50;
    const drafter = await openTrueDrafter(request, 100, [1, 2, 3]);
    const { submit, runner, finish } = setUp({ drafter }, { contextTokens });
    expect(await submit(request)).toEqual(expected);
    const ends = runner.runs.flatMap(({ sequences }) =>
      sequences.map(({ start, tokenIds }) => start + tokenIds.length),
    );
    expect(Math.max(...ends)).toBeLessThan(contextTokens);
    finish();
  });

  it('takes no more tokens of a run once its request was cancelled', async () => {
    const request = ask('a', withoutEnd);
    const { engine, finish } = setUp({ drafter: await openTrueDrafter(request, 30) });
    const listener = new RecordingListener();
    listener.onDelta = (delta) => {
      listener.deltas.push(delta);
      if (listener.deltas.length === 5) engine.cancel('a');
    };
    await expect(engine.generate(request, listener)).rejects.toMatchObject({ code: 'cancelled.by-user' });
    expect(listener.deltas.length).toBe(5);
    finish();
  });

  it('ends in the middle of a run where the answer ends', async () => {
    const { content } = await setUp({ draftTokens: 0 }).submit(ask('a', withoutEnd));
    const request = ask('a', { ...withoutEnd, stop: [content.slice(60, 64)] });
    const expected = await setUp({ draftTokens: 0 }).submit(request);
    expect(expected.finishReason).toBe('stop');
    const { submit, finish } = setUp({ drafter: await openTrueDrafter(ask('a', withoutEnd), 40) });
    expect(await submit(request)).toEqual(expected);
    finish();
  });

  it('takes drafts behind and instead of tokens that are forced', async () => {
    const look = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } };
    const request = ask('a', { tools: [look], toolChoice: { type: 'required' }, thinkingBudget: 3, maxTokens: 60 });
    const expected = await setUp({ draftTokens: 0 }).submit(request);
    expect(expected.toolCalls.length).toBe(1);
    for (const total of [1, 3, 7]) {
      const { submit, finish } = setUp({ drafter: await openTrueDrafter(request, total, [5]) });
      expect(await submit(request)).toEqual(expected);
      finish();
    }
  });
});

describe('a draft whose rows are not numbers', () => {
  const poison = 7;

  /** As attention does: one row that is not a number spoils all rows of its sequence in the run. */
  function spoil(input: StepInput, output: StepOutput, vocabularySize: number): void {
    let row = 0;
    for (const { tokenIds, wanted } of input.sequences) {
      const isSpoiled = Array.from(tokenIds).includes(poison);
      if (isSpoiled) output.logits.fill(Number.NaN, row * vocabularySize, (row + wanted) * vocabularySize);
      row += wanted;
    }
    if (input.sequences.some(({ tokenIds }) => Array.from(tokenIds).includes(poison))) output.latents.fill(Number.NaN);
  }

  it('costs a run, and nothing else', async () => {
    const request = ask('a', withoutEnd);
    const expected = await setUp({ draftTokens: 0 }).submit(request);
    const fake = openFakeRunner({ vocabularySize: byteVocabulary, quotes: true });
    const runner: ModelRunner = {
      ...fake,
      runMs: 0,
      run: async (input) => {
        const output = await fake.run(input);
        spoil(input, output, byteVocabulary);
        return output;
      },
    };
    const good = await openTrueDrafter(request, 4);
    let drafts = 0;
    const ends: string[] = [];
    const drafter: Drafter<Sequence> = {
      draft: (run) => {
        const isPoisoned = drafts++ % 5 === 3;
        return good.draft(run).map((draft) => (isPoisoned ? [...draft, poison] : draft));
      },
      learn: (_, outcomes) => ends.push(...outcomes.map(({ end }) => end)),
      remember: () => {},
    };
    const { engine, budget } = openTestEngine(runner, { drafter });
    expect(await engine.generate(request, new RecordingListener())).toEqual(expected);
    expect(ends.filter((end) => end === 'spoiled').length).toBeGreaterThan(3);
    engine.dropIdle();
    engine.checkIntegrity();
    expect(budget.held).toBe(0);
  });
});
