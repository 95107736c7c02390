import fc from 'fast-check';
import { AppError } from '../../src/base/errors.ts';
import type { Drafter } from '../../src/engine/draft/drafter.ts';
import type {
  EmbedRequest,
  GenerateCheckpoint,
  GenerateRequest,
  GenerateResult,
  SamplingOptions,
} from '../../src/engine/messages.ts';
import type { ModelRunner, PageTier } from '../../src/engine/ports.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { toolDeclaration } from './answer-script.ts';
import { chatMessage, generateRequest, openTestEngine, RecordingListener } from './test-engine.ts';

/** Random requests, and random times at which they come, are cancelled, saved and interrupted. */

export interface RequestShape {
  /** Which of a few documents, and how many characters of it. */
  readonly document: number;
  readonly documentCharacters: number;
  readonly questionCharacters: number;
  readonly isShared: boolean;
  readonly maxTokens: number;
  readonly thinkingBudget: number | null;
  readonly temperature: number;
  readonly seed: number;
  readonly priority: number;
  readonly tenant: string;
  readonly variant: keyof typeof variants;
}

type Variant = Partial<Omit<GenerateRequest, 'sampling'>> & { readonly sampling?: Partial<SamplingOptions> };

/** What an answer must keep to beside its length. */
const variants = {
  plain: {},
  penalties: { sampling: { presencePenalty: 0.7, frequencyPenalty: 0.3, repetitionPenalty: 1.2, topP: 0.9, topK: 20 } },
  stop: { stop: ['e', 'quiz'] },
  json: {
    format: {
      type: 'json-schema',
      schema: { type: 'object', properties: { quote: { type: 'string' }, n: { enum: [1, 22] } }, required: ['quote'] },
    },
  },
  tools: {
    tools: [toolDeclaration('look', { type: 'object', properties: { at: { type: 'string', maxLength: 9 } } })],
    toolChoice: { type: 'required' },
  },
} as const satisfies Record<string, Variant>;

export interface Schedule {
  readonly requests: readonly {
    readonly shape: RequestShape;
    readonly atRun: number;
    readonly cancelAtRun: number | null;
  }[];
  /** Texts that are embedded meanwhile. */
  readonly embeds: readonly {
    readonly characters: number;
    readonly priority: number;
    readonly atRun: number;
    readonly cancelAtRun: number | null;
  }[];
  readonly blocks: number;
  readonly maxSequences: number;
  readonly prefillTokens: number;
  readonly usesCache: boolean;
  readonly tier: 'none' | 'keeps' | 'forgets';
  /** Turns of the event loop until the tier gives a page. */
  readonly tierTurns: number;
  /** Every so many runs all running requests are saved, and one of the checkpoints is tried elsewhere. */
  readonly saveEvery: number;
  /** Most tokens that are drafted of what `lookup` finds; `scripted` drafts are as many as they are. */
  readonly draftTokens: number;
  readonly drafts: 'lookup' | 'scripted';
}

export interface ScheduleLimits {
  readonly documentCharacters: number;
  readonly requests: number;
  readonly blocks: readonly [number, number];
}

export function scheduleArbitrary(limits: ScheduleLimits): fc.Arbitrary<Schedule> {
  const shape = fc.record({
    document: fc.nat({ max: 2 }),
    documentCharacters: fc.oneof(fc.constant(limits.documentCharacters), fc.nat({ max: limits.documentCharacters })),
    questionCharacters: fc.integer({ min: 1, max: 300 }),
    isShared: fc.boolean(),
    maxTokens: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 1, max: 24 }) },
      { weight: 1, arbitrary: fc.constant(280) },
    ),
    thinkingBudget: fc.option(fc.nat({ max: 8 }), { nil: null }),
    temperature: fc.constantFrom(0, 1),
    seed: fc.nat({ max: 1_000 }),
    priority: fc.nat({ max: 2 }),
    tenant: fc.constantFrom('one', 'other'),
    variant: fc.oneof(
      { weight: 2, arbitrary: fc.constant('plain' as const) },
      { weight: 3, arbitrary: fc.constantFrom('penalties', 'stop', 'json', 'tools') },
    ),
  });
  return fc.record({
    requests: fc.array(
      fc.record({
        shape,
        atRun: fc.nat({ max: 40 }),
        cancelAtRun: fc.option(fc.nat({ max: 60 }), { nil: null, freq: 5 }),
      }),
      { minLength: 1, maxLength: limits.requests },
    ),
    embeds: fc.array(
      fc.record({
        characters: fc.integer({ min: 1, max: 700 }),
        priority: fc.nat({ max: 2 }),
        atRun: fc.nat({ max: 40 }),
        cancelAtRun: fc.option(fc.nat({ max: 60 }), { nil: null, freq: 5 }),
      }),
      { maxLength: 2 },
    ),
    blocks: fc.integer({ min: limits.blocks[0], max: limits.blocks[1] }),
    maxSequences: fc.integer({ min: 1, max: 6 }),
    prefillTokens: fc.constantFrom(5, 100, 256, 300, 512),
    usesCache: fc.boolean(),
    tier: fc.constantFrom('none' as const, 'keeps' as const, 'forgets' as const),
    tierTurns: fc.constantFrom(3, 40),
    saveEvery: fc.integer({ min: 2, max: 30 }),
    draftTokens: fc.constantFrom(0, 1, 4, 8, 32),
    drafts: fc.constantFrom('lookup' as const, 'scripted' as const),
  });
}

export function buildRequest(id: string, shape: RequestShape): GenerateRequest {
  const document = `${shape.document} ${'once upon a time there was a quire '.repeat(200)}`;
  const question = `${shape.seed} ${'why? '.repeat(60)}`.slice(0, shape.questionCharacters);
  const { sampling, ...variant }: Variant = variants[shape.variant];
  return generateRequest(id, {
    ...variant,
    tenant: shape.tenant,
    messages: [chatMessage('user', document.slice(0, shape.documentCharacters)), chatMessage('user', question)],
    sharedMessages: shape.isShared ? 1 : 0,
    maxTokens: shape.maxTokens,
    thinkingBudget: shape.thinkingBudget,
    priority: shape.priority,
    logprobs: 2,
    sampling: { ...generateRequest('').sampling, ...sampling, temperature: shape.temperature, seed: shape.seed },
  });
}

/** Keeps pages in a map, answers late, and forgets every third when it `forgets`. */
function openLateTier(forgets: boolean, turns: number): PageTier {
  const pages = new Map<string, Float32Array>();
  let loads = 0;
  return {
    has: (name) => pages.has(name),
    load: async (name) => {
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      loads++;
      if (forgets && loads % 3 === 0) pages.delete(name);
      return pages.get(name)?.slice();
    },
    save: async (name, latents) => {
      pages.set(name, latents.slice());
    },
    stats: () => ({
      pages: pages.size,
      bytes: 0,
      budgetBytes: 0,
      hits: loads,
      misses: 0,
      writes: 0,
      evictions: 0,
      corrupt: 0,
    }),
    close: async () => {},
  };
}

/** With the log-probabilities of the content: a logit of which one bit has changed shows there. */
export type Output = Pick<
  GenerateResult,
  'reasoning' | 'content' | 'toolCalls' | 'finishReason' | 'completionTokens' | 'logprobs' | 'schemaError'
>;

const outputOf = ({
  logprobs,
  reasoning,
  content,
  toolCalls,
  finishReason,
  completionTokens,
  schemaError,
}: GenerateResult): Output => ({
  logprobs,
  reasoning,
  content,
  toolCalls,
  finishReason,
  completionTokens,
  schemaError,
});

/** What a request is answered when nothing else is in the engine, nothing is kept and nothing drafted. */
export async function answerAlone(
  runner: ModelRunner,
  request: GenerateRequest,
): Promise<{ readonly output: Output; readonly tokenIds: readonly number[] }> {
  const { engine } = openTestEngine(runner, { cache: false, maxSequences: 1, blocks: 256, draftTokens: 0 });
  const listener = new RecordingListener();
  const result = await engine.generate({ ...request, checkpointEvery: { tokens: 1, ms: 1e9 } }, listener);
  // all but the last one
  return { output: outputOf(result), tokenIds: listener.checkpoints.at(-1)?.tokenIds ?? [] };
}

/** An embedding of a schedule, and what it is when nothing else runs. */
async function embedAlone(runner: ModelRunner, request: EmbedRequest): Promise<readonly string[]> {
  const { engine } = openTestEngine(runner, { cache: false, blocks: 256 });
  return (await engine.embed(request)).vectors;
}

export interface Outcome {
  readonly request: GenerateRequest;
  readonly output: Output | null;
  readonly checkpoints: readonly GenerateCheckpoint[];
}

/**
 * Runs a schedule to its end, checking the books before every run. `output` is null for what was cancelled in time or
 * could never fit.
 */
export async function runSchedule(
  runner: ModelRunner,
  schedule: Schedule,
  drafter: Drafter<Sequence> | null,
): Promise<{ readonly outcomes: readonly Outcome[]; readonly acceptedTokens: number }> {
  const tier = schedule.tier === 'none' ? null : openLateTier(schedule.tier === 'forgets', schedule.tierTurns);
  let runs = 0;
  let onRun = (): void => {};
  const counting: ModelRunner = {
    ...runner,
    // getters do not survive a spread
    runMs: 0,
    run: (input) => {
      onRun();
      return runner.run(input);
    },
    close: async () => {},
  };
  const { engine, budget } = openTestEngine(counting, {
    blocks: schedule.blocks,
    maxSequences: schedule.maxSequences,
    prefillTokens: schedule.prefillTokens,
    cache: schedule.usesCache,
    draftTokens: schedule.draftTokens,
    ...(drafter === null ? {} : { drafter }),
    tier,
  });
  const outcomes: Promise<Outcome>[] = [];
  const waiting = schedule.requests.map(({ shape, atRun, cancelAtRun }, index) => {
    return { request: buildRequest(`r${index}`, shape), atRun, cancelAtRun };
  });
  const submit = (request: GenerateRequest): void => {
    const listener = new RecordingListener();
    outcomes.push(
      engine.generate(request, listener).then(
        (result) => ({ request, output: outputOf(result), checkpoints: listener.checkpoints }),
        (error: unknown) => {
          const isExpected =
            error instanceof AppError && ['cancelled.by-user', 'input.context-length'].includes(error.code);
          if (!isExpected) throw error;
          return { request, output: null, checkpoints: listener.checkpoints };
        },
      ),
    );
  };
  const waitingEmbeds = schedule.embeds.map(({ characters, priority, atRun }, index) => {
    const inputs = ['to be embedded '.repeat(50).slice(0, characters), 'short'];
    return { request: { id: `e${index}`, inputs, priority, deadlineMs: null }, atRun };
  });
  const embeds: Promise<void>[] = [];
  const submitEmbed = async (request: EmbedRequest): Promise<void> => {
    const vectors = await engine.embed(request).then(
      (result) => result.vectors,
      (error: unknown) => {
        const isExpected =
          error instanceof AppError && ['cancelled.by-user', 'input.context-length'].includes(error.code);
        if (isExpected) return null;
        throw error;
      },
    );
    const alone = await embedAlone(runner, request);
    if (vectors !== null && vectors.join() !== alone.join()) throw new Error(`${request.id} has another vector alone`);
  };
  const submitDue = (): void => {
    for (const one of waitingEmbeds.filter(({ atRun }) => atRun <= runs)) {
      waitingEmbeds.splice(waitingEmbeds.indexOf(one), 1);
      embeds.push(submitEmbed(one.request));
    }
    for (const one of waiting.filter(({ atRun }) => atRun <= runs)) {
      waiting.splice(waiting.indexOf(one), 1);
      submit(one.request);
    }
  };
  onRun = () => {
    engine.checkIntegrity();
    submitDue();
    for (const [index, { cancelAtRun }] of schedule.requests.entries()) {
      if (cancelAtRun === runs) engine.cancel(`r${index}`);
      if (runs % schedule.saveEvery === 0) engine.checkpoint(`r${index}`);
    }
    for (const [index, { cancelAtRun }] of schedule.embeds.entries()) {
      if (cancelAtRun === runs) engine.cancel(`e${index}`);
    }
    runs++;
  };
  const settled: Outcome[] = [];
  // when everybody has left before the time of the next one, time jumps
  for (submitDue(); settled.length < schedule.requests.length; ) {
    if (outcomes.length === settled.length) {
      runs = Math.min(...waiting.map(({ atRun }) => atRun));
      submitDue();
    }
    for (const outcome of outcomes.slice(settled.length)) settled.push(await outcome);
  }
  // one that runs may let the next one in
  for (const embed of embeds) await embed;
  engine.dropIdle();
  engine.checkIntegrity();
  if (budget.held !== 0) throw new Error(`${budget.held} blocks are held although nobody runs`);
  return { outcomes: settled, acceptedTokens: engine.stats().acceptedTokens };
}
