import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import {
  EngineClient,
  type GenerateCheckpoint,
  type GenerateDelta,
  type GenerateRequest,
  type GenerateResult,
} from '../../src/engine/index.ts';
import { forkEngine } from '../../workers/compose/fork-engine.ts';
import { neutralSampling } from '../support/neutral-sampling.ts';

/** The real engine in its own process, as a worker has it. */
let client: EngineClient;
let enginePid: number | null = null;

const request = (id: string, more: Partial<GenerateRequest> = {}): GenerateRequest => ({
  id,
  tenant: 'default',
  messages: [
    { role: 'user', content: 'Count the days.', name: null, reasoning: null, toolCalls: null, toolCallId: null },
  ],
  tools: null,
  argumentSchemas: null,
  toolChoice: { type: 'auto' },
  parallelToolCalls: true,
  sharedMessages: 0,
  maxTokens: 60,
  sampling: { ...neutralSampling, seed: 3 },
  logprobs: null,
  stop: [],
  thinkingBudget: 10,
  format: { type: 'text' },
  priority: 1,
  deadlineMs: null,
  stream: true,
  checkpointEvery: { tokens: 8, ms: 60_000 },
  resume: null,
  ...more,
});

/** What an answer says, without what it took. */
const essence = ({ reasoning, content, finishReason, completionTokens }: GenerateResult) => ({
  reasoning,
  content,
  finishReason,
  completionTokens,
});

beforeAll(async () => {
  process.env['QUIRE_PAGE_DISK_BYTES'] = '0';
  // the engine's program is TypeScript, as the test is
  process.env['NODE_OPTIONS'] = '--import tsx';
  client = new EngineClient({
    connect: () => forkEngine(),
    clock: systemClock,
    log: silentLogger,
    onPid: (pid) => {
      enginePid = pid;
    },
  });
  await client.ready();
});

afterAll(() => client.close());

describe('the engine behind its process border', () => {
  it('streams what it answers, and says how it is', async () => {
    const deltas: GenerateDelta[] = [];
    const phases = new Set<string>();
    const result = await client.generate(request('a'), {
      onDelta: (delta) => deltas.push(delta),
      onProgress: ({ phase }) => phases.add(phase),
    });
    expect(deltas.map(({ content }) => content).join('')).toBe(result.content);
    expect(deltas.map(({ reasoning }) => reasoning).join('')).toBe(result.reasoning);
    expect(phases.size).toBeGreaterThan(0);
    const { width, vectors } = await client.embed({ id: 'e', inputs: ['x', 'y'], priority: 1, deadlineMs: null });
    expect(vectors.map((vector) => Buffer.from(vector, 'base64').length)).toEqual([width * 4, width * 4]);
    expect(client.stats()?.blocks.total).toBeGreaterThan(0);
  });

  it('goes on where a killed process stood, and ends as if nothing had happened', async () => {
    const whole = essence(await client.generate(request('whole')));
    let heard = 0;
    const error = await client
      .generate(request('cut'), {
        onCheckpoint: () => {
          heard += 1;
          if (heard === 2 && enginePid !== null) process.kill(enginePid, 'SIGKILL');
        },
      })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'transient.engine-interrupted', details: { running: true } });
    const { checkpoint } = (error as AppError).details as unknown as { readonly checkpoint: GenerateCheckpoint };
    expect(checkpoint.tokenIds.length).toBeGreaterThanOrEqual(16);
    const rest = await client.generate(request('cut', { resume: checkpoint }));
    expect(rest).toMatchObject({ resumed: 'exact', resumedTokens: checkpoint.tokenIds.length });
    expect(essence(rest)).toEqual(whole);
  });

  it('hands out a checkpoint when asked, and stops when cancelled', async () => {
    const abort = new AbortController();
    const long = request('long', { maxTokens: 2_000, checkpointEvery: null });
    let ended: Promise<unknown> = Promise.resolve();
    await new Promise<void>((resolve) => {
      const options = { signal: abort.signal, onDelta: () => resolve() };
      ended = client.generate(long, options).catch((reason: unknown) => reason);
      void ended.then(() => resolve());
    });
    const checkpoint = await client.checkpoint('long');
    abort.abort(new AppError('cancelled.by-user', 'stop'));
    if (checkpoint !== null) expect(await ended).toMatchObject({ code: 'cancelled.by-user' });
    expect(await client.checkpoint('long')).toBeNull();
    const maxTokens = (checkpoint?.tokenIds.length ?? 0) + 20;
    const next = await client.generate(request('next', { resume: checkpoint, maxTokens }));
    expect(next.completionTokens).toBeGreaterThan(0);
  });
});
