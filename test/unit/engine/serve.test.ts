import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { AppError } from '../../../src/base/errors.ts';
import type {
  EmbedRequest,
  EmbedResult,
  EngineStats,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
  HostMessage,
} from '../../../src/engine/messages.ts';
import type { EngineService, GenerateListener } from '../../../src/engine/ports.ts';
import { type PageDoor, serveEngine } from '../../../src/engine/serve.ts';
import { tick } from '../../support/fake-engine.ts';

const generateRequest: GenerateRequest = {
  id: 'a#0',
  tenant: 'default',
  messages: [{ role: 'user', content: 'hi', name: null, reasoning: null, toolCalls: null, toolCallId: null }],
  tools: null,
  argumentSchemas: null,
  toolChoice: { type: 'auto' },
  parallelToolCalls: true,
  sharedMessages: 0,
  maxTokens: 5,
  sampling: {
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    logitBias: null,
    seed: 1,
  },
  logprobs: null,
  stop: [],
  thinkingBudget: null,
  format: { type: 'text' },
  priority: 1,
  deadlineMs: null,
  stream: false,
  checkpointEvery: { tokens: 64, ms: 5_000 },
  resume: null,
};
const embedRequest: EmbedRequest = { id: 'e#1', inputs: ['x', [1, 2]], priority: 1, deadlineMs: null };
const progress = (phase: GenerateProgress['phase']): GenerateProgress => ({
  phase,
  promptTokens: 1,
  prefilledTokens: 1,
  completionTokens: 0,
});

interface Running {
  readonly listener: GenerateListener;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** An engine whose requests end when the test says so. */
class FakeService implements EngineService {
  readonly running = new Map<string, Running>();
  readonly asked: string[] = [];
  runs = 0;
  startRun: (ids: readonly string[]) => void = () => {};

  generate(request: GenerateRequest, listener: GenerateListener): Promise<GenerateResult> {
    return new Promise((resolve, reject) => this.running.set(request.id, { listener, resolve, reject }));
  }
  embed(request: EmbedRequest): Promise<EmbedResult> {
    const listener = {} as GenerateListener;
    return new Promise((resolve, reject) => this.running.set(request.id, { listener, resolve, reject }));
  }
  cancel(id: string): void {
    this.asked.push(`cancel ${id}`);
  }
  checkpoint(id: string): void {
    this.asked.push(`checkpoint ${id}`);
  }
  stats(): EngineStats {
    return { runs: this.runs } as EngineStats;
  }
  onRun(listener: (ids: readonly string[]) => void): void {
    this.startRun = listener;
  }
  get(id: string): Running {
    const running = this.running.get(id);
    if (running === undefined) throw new Error(`the engine has no request ${id}`);
    return running;
  }
}

function serve(pages: PageDoor | null = null) {
  const service = new FakeService();
  const said: HostMessage[] = [];
  const sleeps: { readonly ms: number; readonly wake: () => void }[] = [];
  const state = { nowMs: 0, hasRoom: true };
  const clock: Clock = {
    nowMs: () => state.nowMs,
    sleep: (ms) => new Promise((wake) => sleeps.push({ ms, wake })),
  };
  const pipe = { send: (message: HostMessage) => void said.push(message), hasRoom: () => state.hasRoom };
  const receive = serveEngine(service, pipe, clock, pages);
  const saidOf = (type: HostMessage['type']) => said.filter((message) => message.type === type);
  const pass = async (ms: number): Promise<void> => {
    state.nowMs += ms;
    for (const { wake } of sleeps.splice(0)) wake();
    await tick();
  };
  return { service, state, sleeps, receive, said, saidOf, pass };
}

describe('serveEngine', () => {
  it('gives every start one end (H1)', async () => {
    const { service, receive, said } = serve();
    receive({ type: 'generate-start', request: generateRequest });
    receive({ type: 'generate-start', request: { ...generateRequest, id: 'b#2' } });
    receive({ type: 'embed-start', request: embedRequest });
    service.get('a#0').resolve({ content: 'done' } as never);
    service.get('b#2').reject(new AppError('input.schema', 'no such schema', { param: 'response_format' }));
    service.get('e#1').resolve({ width: 4 } as never);
    await tick();
    const ends = said.filter(({ type }) => /-end$|failed/.test(type));
    expect(ends).toHaveLength(3);
    expect(ends).toContainEqual({ type: 'generate-end', id: 'a#0', result: { content: 'done' } });
    expect(ends).toContainEqual({ type: 'embed-end', id: 'e#1', result: { width: 4 } });
    expect(ends).toContainEqual({
      type: 'request-failed',
      id: 'b#2',
      error: { code: 'input.schema', message: 'no such schema', details: {}, param: 'response_format' },
    });
  });

  it('fails a request whose engine throws before it gives a promise', async () => {
    const { service, receive, saidOf } = serve();
    service.generate = () => {
      throw new Error('boom');
    };
    receive({ type: 'generate-start', request: generateRequest });
    await tick();
    expect(saidOf('request-failed')).toMatchObject([{ id: 'a#0', error: { code: 'bug.invariant', message: 'boom' } }]);
    // and it is not in work any more
    service.generate = () => Promise.resolve({ content: 'x' } as GenerateResult);
    receive({ type: 'generate-start', request: generateRequest });
    await tick();
    expect(saidOf('generate-end')).toHaveLength(1);
  });

  it('passes on cancellations, asks, deltas, checkpoints, and runs before they begin (H2)', () => {
    const { service, receive, said } = serve();
    receive({ type: 'generate-start', request: generateRequest });
    receive({ type: 'cancel', id: 'a#0' });
    receive({ type: 'checkpoint', id: 'a#0' });
    expect(service.asked).toEqual(['cancel a#0', 'checkpoint a#0']);
    const { listener } = service.get('a#0');
    service.startRun(['a#0']);
    listener.onDelta({ content: 'x' } as never);
    listener.onCheckpoint({ draws: 1 } as never);
    expect(said.filter(({ type }) => type !== 'engine-stats')).toEqual([
      { type: 'run-start', ids: ['a#0'] },
      { type: 'generate-delta', id: 'a#0', delta: { content: 'x' } },
      { type: 'generate-checkpoint', id: 'a#0', checkpoint: { draws: 1 } },
    ]);
  });

  it('passes on what pages are offered and wanted, and which arrived', () => {
    const arrived: unknown[] = [];
    const door: PageDoor = { onMessage: () => {}, arrived: (...answer) => arrived.push(answer) };
    const { receive, said } = serve(door);
    const page = { tenant: 'a', digest: 'd', name: 'n', path: '/pages/n' };
    door.onMessage({ type: 'page-wanted', page });
    door.onMessage({ type: 'page-saved', page: { ...page, bytes: 7, replaces: false } });
    receive({ type: 'page-arrived', path: '/pages/n', found: true, bytesPerSecond: 5.5 });
    receive({ type: 'page-arrived', path: '/pages/m', found: false, bytesPerSecond: null });
    expect(said.filter(({ type }) => type.startsWith('page-'))).toEqual([
      { type: 'page-wanted', page },
      { type: 'page-saved', page: { ...page, bytes: 7, replaces: false } },
    ]);
    expect(arrived).toEqual([
      ['/pages/n', true, 5.5],
      ['/pages/m', false, null],
    ]);
  });

  it('has no use for pages without a store', () => {
    const { receive, said } = serve();
    receive({ type: 'page-arrived', path: '/pages/n', found: true, bytesPerSecond: null });
    expect(said.filter(({ type }) => type === 'request-failed')).toEqual([]);
  });

  const without = (field: keyof GenerateRequest): unknown => {
    const { [field]: _left, ...rest } = generateRequest;
    return { type: 'generate-start', request: rest };
  };
  const withMessage = (more: object): unknown => ({
    type: 'generate-start',
    request: { ...generateRequest, messages: [{ ...generateRequest.messages[0], ...more }] },
  });
  it.each([
    ['nothing', undefined, '', 'the message'],
    ['a text', 'generate-start', '', 'the message'],
    ['a list', [], '', 'the message'],
    ['an unknown type', { type: 'restart', id: 'x' }, 'x', 'type'],
    ['a type from elsewhere', { type: 'toString' }, '', 'type'],
    ['a cancellation of nothing', { type: 'cancel' }, '', 'id'],
    ['a page that arrived nowhere', { type: 'page-arrived', found: true, bytesPerSecond: null }, '', 'path'],
    ['a page of unknown fate', { type: 'page-arrived', path: '/n', found: null, bytesPerSecond: null }, '', 'found'],
    ['a page without a rate', { type: 'page-arrived', path: '/n', found: true }, '', 'bytesPerSecond'],
    ['a request that is none', { type: 'generate-start', request: null }, '', 'request'],
    ['a request without id', without('id'), '', 'request.id'],
    ['a request without sampling', without('sampling'), 'a#0', 'request.sampling'],
    ['a request without messages', without('messages'), 'a#0', 'request.messages'],
    ['a message without content', withMessage({ content: null }), 'a#0', 'request.messages'],
    ['a message of an unknown role', withMessage({ role: 'developer' }), 'a#0', 'request.messages'],
    ['a call without arguments', withMessage({ toolCalls: [{ id: 'x' }] }), 'a#0', 'request.messages'],
    [
      'a number that is none',
      { type: 'generate-start', request: { ...generateRequest, maxTokens: Number.NaN } },
      'a#0',
      'request.maxTokens',
    ],
    [
      'an embedding of objects',
      { type: 'embed-start', request: { ...embedRequest, inputs: [{}] } },
      'e#1',
      'request.inputs',
    ],
  ])('answers %s with an error (H3)', (_, message, id, param) => {
    const { receive, saidOf, service } = serve();
    receive(message);
    expect(saidOf('request-failed')).toMatchObject([{ id, error: { code: 'input.invalid-request', param } }]);
    expect(service.running.size).toBe(0);
  });

  it('tells a checkpoint that is none from a request that is none', () => {
    const { receive, saidOf } = serve();
    receive({ type: 'generate-start', request: { ...generateRequest, resume: { version: 1, tokenIds: [1] } } });
    expect(saidOf('request-failed')).toMatchObject([{ id: 'a#0', error: { code: 'corrupt.record' } }]);
  });

  it('refuses a second request of the same id, and goes on with the first', async () => {
    const { service, receive, said, saidOf } = serve();
    receive({ type: 'generate-start', request: generateRequest });
    receive({ type: 'generate-start', request: generateRequest });
    expect(saidOf('request-failed')).toMatchObject([{ error: { message: 'request a#0 is in work already' } }]);
    service.get('a#0').resolve({} as never);
    await tick();
    expect(said.at(-1)).toMatchObject({ type: 'generate-end' });
  });

  it('reports progress four times a second at most, new phases sooner (H4)', () => {
    const { service, state, receive, saidOf } = serve();
    receive({ type: 'generate-start', request: generateRequest });
    const { onProgress } = service.get('a#0').listener;
    const at: [number, string][] = [];
    const report = (phase: GenerateProgress['phase']): void => {
      const before = saidOf('generate-progress').length;
      onProgress(progress(phase));
      if (saidOf('generate-progress').length > before) at.push([state.nowMs, phase]);
    };
    report('wait');
    report('prefill');
    report('prefill');
    for (; state.nowMs < 2_000; state.nowMs += 10) report('answer');
    expect(at.slice(0, 4)).toEqual([
      [0, 'wait'],
      [0, 'prefill'],
      [0, 'answer'],
      [250, 'answer'],
    ]);
    for (const [time] of at) {
      expect(at.filter(([other]) => other >= time && other < time + 1_000).length).toBeLessThanOrEqual(4);
    }
    expect(at.length).toBeGreaterThan(6);
  });

  it('sends statistics once a second at most, when they changed, and the last ones too', async () => {
    const { service, sleeps, receive, saidOf, pass } = serve();
    receive({ type: 'cancel', id: 'x' });
    expect(saidOf('engine-stats')).toEqual([{ type: 'engine-stats', stats: { runs: 0 } }]);
    for (let run = 1; run <= 5; run++) {
      service.runs = run;
      service.startRun(['a#0']);
    }
    expect(saidOf('engine-stats')).toHaveLength(1);
    await pass(1_000);
    expect(saidOf('engine-stats').at(-1)).toEqual({ type: 'engine-stats', stats: { runs: 5 } });
    service.startRun(['a#0']);
    await pass(1_000);
    expect(saidOf('engine-stats')).toHaveLength(2);
    // no work, no timer
    expect(sleeps).toEqual([]);
  });

  it('leaves out progress and statistics while the pipe is full, nothing else (H4)', async () => {
    const { service, state, receive, said, saidOf, pass } = serve();
    state.hasRoom = false;
    receive({ type: 'generate-start', request: generateRequest });
    const { listener, resolve } = service.get('a#0');
    listener.onProgress(progress('wait'));
    listener.onDelta({ content: 'x' } as never);
    service.startRun(['a#0']);
    resolve({} as never);
    await tick();
    expect(said.map(({ type }) => type)).toEqual(['generate-delta', 'run-start', 'generate-end']);
    state.hasRoom = true;
    await pass(1_000);
    expect(saidOf('engine-stats')).toHaveLength(1);
  });
});
