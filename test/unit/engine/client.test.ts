import { describe, expect, it } from 'vitest';
import { AppError, serializeError } from '../../../src/base/errors.ts';
import type { PageCarrier } from '../../../src/engine/client.ts';
import type {
  EmbedResult,
  EngineStats,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
} from '../../../src/engine/messages.ts';
import { FakeChannel, FakeEngines, request, tick, tinyCard } from '../../support/fake-engine.ts';

const checkpointOf = (...tokenIds: readonly number[]) => ({ version: 1, tokenIds }) as unknown as GenerateCheckpoint;
/** Rejections are looked at later, when the test has moved on. */
const outcome = (answer: Promise<unknown>): Promise<unknown> => answer.catch((error: unknown) => error);

describe('EngineClient', () => {
  it('holds requests until the model is loaded, then gives each its own result', async () => {
    const engines = new FakeEngines();
    const [first, second] = [engines.client.generate(request('a')), engines.client.generate(request('b'))];
    expect(engines.last.sent).toEqual([]);
    engines.ready();
    engines.last.answer('b', 'b');
    engines.last.answer('a', 'a');
    expect((await first).content).toBe('a');
    expect((await second).content).toBe('b');
  });

  it('passes on progress, deltas and checkpoints of the request they belong to', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const heard: unknown[] = [];
    const listen = (value: unknown): void => void heard.push(value);
    const answer = engines.client.generate(request('a'), { onProgress: listen, onDelta: listen, onCheckpoint: listen });
    void engines.client.generate(request('b'), { onProgress: () => expect.fail('progress of another request') });
    const id = engines.last.idOf('a');
    const progress: GenerateProgress = { phase: 'think', promptTokens: 9, prefilledTokens: 9, completionTokens: 1 };
    const delta = { reasoning: 'so', content: '', completionTokens: 2 } as GenerateDelta;
    engines.last.say({ type: 'generate-progress', id, progress });
    engines.last.say({ type: 'generate-delta', id, delta });
    engines.last.say({ type: 'generate-checkpoint', id, checkpoint: checkpointOf(7) });
    engines.last.answer('a');
    engines.last.say({ type: 'generate-delta', id, delta });
    await answer;
    expect(heard).toEqual([progress, delta, checkpointOf(7)]);
  });

  it('gives embeddings', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const embedding = engines.client.embed({ id: 'e', inputs: ['x', [1, 2]], priority: 1, deadlineMs: null });
    const id = engines.last.idOf('e');
    expect(engines.last.sent).toEqual([
      { type: 'embed-start', request: { id, inputs: ['x', [1, 2]], priority: 1, deadlineMs: null } },
    ]);
    const result: EmbedResult = { vectors: ['AAAA'], width: 1, promptTokens: 3 };
    engines.last.say({ type: 'embed-end', id, result });
    expect(await embedding).toEqual(result);
  });

  it('reports what the engine says of a request as the same error', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const answer = engines.client.generate(request('a'));
    const error = serializeError(new AppError('input.context-length', 'too long', { param: 'messages' }));
    engines.last.say({ type: 'request-failed', id: engines.last.idOf('a'), error });
    await expect(answer).rejects.toMatchObject({ code: 'input.context-length', param: 'messages' });
  });

  it('rejects an answer of another kind than was asked for', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const answer = engines.client.generate(request('a'));
    engines.last.say({ type: 'embed-end', id: engines.last.idOf('a'), result: {} as EmbedResult });
    await expect(answer).rejects.toMatchObject({ code: 'bug.invariant' });
  });

  it('does not mind what is no message', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const answer = engines.client.generate(request('a'));
    for (const value of [
      null,
      'x',
      {},
      { type: 'constructor' },
      { type: 'generate-end', id: 7 },
      { type: 'run-start' },
    ]) {
      engines.last.say(value as never);
    }
    engines.last.say({ type: 'generate-end', id: 'a#99', result: {} as never });
    engines.last.answer('a');
    expect((await answer).content).toBe('done');
  });

  it('remembers the statistics it heard last, for as long as the process lives', async () => {
    const engines = new FakeEngines();
    engines.ready();
    expect(engines.client.stats()).toBeNull();
    engines.last.say({ type: 'engine-stats', stats: { runs: 1 } as EngineStats });
    engines.last.say({ type: 'engine-stats', stats: { runs: 2 } as EngineStats });
    expect(engines.client.stats()).toEqual({ runs: 2 });
    engines.last.die('SIGTERM');
    expect(engines.client.stats()).toBeNull();
  });

  it('does not take the end of a cancelled request for that of the same one sent again', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const abort = new AbortController();
    const first = engines.client.generate(request('a'), { signal: abort.signal });
    const firstId = engines.last.idOf('a');
    abort.abort(new AppError('ownership.lost', 'lock lost'));
    await expect(first).rejects.toMatchObject({ code: 'ownership.lost' });
    const second = engines.client.generate(request('a'));
    const error = serializeError(new AppError('cancelled.by-user', 'request was cancelled'));
    engines.last.say({ type: 'request-failed', id: firstId, error });
    engines.last.answer('a');
    expect((await second).content).toBe('done');
  });

  it('cancels in the engine when the signal aborts, and rejects with its reason', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const abort = new AbortController();
    const answer = engines.client.generate(request('a'), { signal: abort.signal });
    abort.abort(new AppError('cancelled.by-user', 'stop'));
    await expect(answer).rejects.toMatchObject({ code: 'cancelled.by-user' });
    expect(engines.last.sent.map(({ type }) => type)).toEqual(['generate-start', 'cancel']);
    await expect(engines.client.generate(request('b'), { signal: abort.signal })).rejects.toMatchObject({
      code: 'cancelled.by-user',
    });
    expect(engines.last.started).toEqual(['a']);
  });

  it('kills the process and rejects everything on close', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const answer = engines.client.generate(request('a'));
    engines.client.close();
    await expect(answer).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    await expect(engines.client.generate(request('b'))).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    await expect(engines.client.ready()).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    expect(engines.last.killed).toBe(true);
  });
});

describe('EngineClient when processes end', () => {
  it('interrupts what was sent, keeps what waits, restarts, and backs off longer each time', async () => {
    const engines = new FakeEngines({ maxInFlight: 1 });
    engines.ready();
    const [sent, waiting] = [engines.client.generate(request('a')), engines.client.generate(request('b'))];
    engines.last.die('SIGKILL');
    await expect(sent).rejects.toMatchObject({ code: 'transient.engine-interrupted' });
    engines.sleeps[0]?.wake();
    await tick();
    engines.last.die('1');
    engines.sleeps[1]?.wake();
    await tick();
    expect(engines.channels).toHaveLength(3);
    expect(engines.sleeps.map(({ ms }) => ms)).toEqual([100, 200]);
    engines.ready();
    engines.last.answer('b');
    expect((await waiting).content).toBe('done');
    engines.last.die('1');
    expect(engines.sleeps.at(-1)?.ms).toBe(100);
  });

  it('says which requests were in the run, and where each can go on', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const names = ['running', 'resumed', 'waiting'];
    const [running, resumed, waiting] = names.map((name) =>
      outcome(engines.client.generate(request(name, { resume: name === 'resumed' ? checkpointOf(1) : null }))),
    );
    engines.last.run('running', 'resumed');
    const id = engines.last.idOf('running');
    engines.last.say({ type: 'generate-checkpoint', id, checkpoint: checkpointOf(1, 2) });
    engines.last.say({ type: 'generate-checkpoint', id, checkpoint: checkpointOf(1, 2, 3) });
    engines.last.die('SIGTERM');
    const code = 'transient.engine-interrupted';
    expect(await running).toMatchObject({ code, details: { running: true, checkpoint: checkpointOf(1, 2, 3) } });
    expect(await resumed).toMatchObject({ code, details: { running: true, checkpoint: checkpointOf(1) } });
    expect(await waiting).toMatchObject({ code, details: { running: false, checkpoint: null } });
  });

  it('keeps tokens out of what is logged or sent of the error', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const answer = outcome(engines.client.generate(request('a', { resume: checkpointOf(42) })));
    engines.last.die('SIGTERM');
    expect(serializeError(await answer).details).toEqual({ running: false });
    expect(JSON.stringify(await answer)).not.toContain('42');
  });

  it('does not restart for a model that cannot be loaded', async () => {
    const failures: AppError[] = [];
    const engines = new FakeEngines({ onFailed: (failure) => void failures.push(failure) });
    const [waiting, submitted] = [engines.client.ready(), outcome(engines.client.generate(request('a')))];
    const error = serializeError(new AppError('input.model-folder', 'no config.json'));
    engines.last.say({ type: 'engine-failed', error });
    await expect(waiting).rejects.toMatchObject({ code: 'input.model-folder' });
    expect(await submitted).toMatchObject({ code: 'input.model-folder' });
    engines.last.die('1');
    await expect(engines.client.generate(request('a'))).rejects.toMatchObject({ code: 'input.model-folder' });
    expect(engines.channels).toHaveLength(1);
    expect(failures).toHaveLength(1);
  });

  it('gives up with the last reason after five processes that ended before they were ready', async () => {
    const engines = new FakeEngines();
    const refused = expect(engines.client.ready()).rejects.toMatchObject({ message: 'the runtime cannot be loaded' });
    const error = serializeError(new AppError('bug.invariant', 'the runtime cannot be loaded'));
    for (let start = 0; start < 5; start++) {
      engines.last.say({ type: 'engine-failed', error });
      engines.last.die('1');
      engines.sleeps[start]?.wake();
      await tick();
    }
    await refused;
    expect(engines.channels).toHaveLength(5);
  });

  it('waits and tries again when the system starts no process', async () => {
    let starts = 0;
    const channel = new FakeChannel();
    const engines = new FakeEngines({
      connect: () => {
        if (++starts < 3) throw new Error('spawn EAGAIN');
        return channel;
      },
    });
    const answer = engines.client.generate(request('a'));
    for (const sleep of [0, 1]) {
      engines.sleeps[sleep]?.wake();
      await tick();
    }
    channel.say({ type: 'engine-ready', card: tinyCard, loadMs: 1 });
    channel.answer('a');
    expect((await answer).content).toBe('done');
    expect(engines.sleeps.map(({ ms }) => ms)).toEqual([100, 200]);
  });

  it('hears nothing more of a process that has ended', async () => {
    const engines = new FakeEngines();
    const old = engines.ready();
    engines.last.die('SIGTERM');
    old.say({ type: 'engine-ready', card: tinyCard, loadMs: 1 });
    void engines.client.generate(request('a'));
    expect(old.sent).toEqual([]);
    old.die('SIGSEGV');
    expect(engines.sleeps).toHaveLength(1);
  });
});

describe('EngineClient with a full pipe', () => {
  it('holds back requests until it drains, but not cancellations', async () => {
    const engines = new FakeEngines();
    const channel = engines.ready();
    const abort = new AbortController();
    channel.isFull = true;
    const first = outcome(engines.client.generate(request('a'), { signal: abort.signal }));
    void engines.client.generate(request('b'));
    expect(channel.started).toEqual(['a']);
    abort.abort(new AppError('cancelled.by-user', 'stop'));
    await first;
    expect(channel.sent.map(({ type }) => type)).toEqual(['generate-start', 'cancel']);
    channel.drain();
    expect(channel.started).toEqual(['a', 'b']);
  });

  it('begins with an empty one after a restart', async () => {
    const engines = new FakeEngines();
    engines.ready().isFull = true;
    void outcome(engines.client.generate(request('a')));
    void engines.client.generate(request('b'));
    const next = await engines.restart('SIGTERM');
    expect(next.started).toEqual(['b']);
  });
});

describe('EngineClient.checkpoint', () => {
  it('asks the engine once for all who ask, and gives all the next checkpoint', async () => {
    const engines = new FakeEngines();
    const channel = engines.ready();
    const answer = engines.client.generate(request('a'));
    const asked = [engines.client.checkpoint('a'), engines.client.checkpoint('a')];
    expect(channel.sent.filter(({ type }) => type === 'checkpoint')).toEqual([
      { type: 'checkpoint', id: channel.idOf('a') },
    ]);
    channel.say({ type: 'generate-checkpoint', id: channel.idOf('a'), checkpoint: checkpointOf(5) });
    expect(await Promise.all(asked)).toEqual([checkpointOf(5), checkpointOf(5)]);
    const late = engines.client.checkpoint('a');
    channel.answer('a');
    expect(await late).toBeNull();
    await answer;
    expect(await engines.client.checkpoint('a')).toBeNull();
  });

  it('knows where a request stands that was not sent yet', async () => {
    const engines = new FakeEngines();
    void engines.client.generate(request('a', { resume: checkpointOf(5) }));
    void engines.client.generate(request('b'));
    expect(await engines.client.checkpoint('a')).toEqual(checkpointOf(5));
    expect(await engines.client.checkpoint('b')).toBeNull();
  });

  it('ends with the process', async () => {
    const engines = new FakeEngines();
    engines.ready();
    void outcome(engines.client.generate(request('a')));
    const asked = engines.client.checkpoint('a');
    engines.last.die('SIGKILL');
    expect(await asked).toBeNull();
  });
});

describe('EngineClient and suspects', () => {
  const submit = (engines: FakeEngines, ...names: readonly string[]): readonly Promise<unknown>[] =>
    names.map((name) => outcome(engines.client.generate(request(name))));

  it('runs a request that was in a crashed run alone, and quarantines it when that crashes too (S2, S4)', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const first = submit(engines, 'good', 'bad', 'later');
    engines.last.run('bad');
    const channel = await engines.restart('SIGSEGV');
    for (const error of await Promise.all(first)) expect(error).toMatchObject({ code: 'transient.engine-interrupted' });
    const [later, bad, good] = submit(engines, 'later', 'bad', 'good');
    // the pipe was open for `later`, so the suspect waits until it is done
    expect(channel.started).toEqual(['later']);
    channel.answer('later');
    await later;
    expect(channel.started).toEqual(['later', 'bad']);
    channel.run('bad');
    const next = await engines.restart('SIGSEGV');
    const crash = { code: 'bug.engine-crash', details: { requestId: 'bad', ends: 2, how: 'signal SIGSEGV' } };
    expect(await bad).toMatchObject(crash);
    next.answer('good');
    expect(await good).toMatchObject({ content: 'done' });
    const [again] = submit(engines, 'bad');
    expect(await again).toMatchObject(crash);
    expect(next.started).toEqual(['good']);
  });

  it('clears a suspect that is answered, also by an error of its own (S5)', async () => {
    const engines = new FakeEngines();
    engines.ready();
    submit(engines, 'a', 'b');
    engines.last.run('a', 'b');
    const channel = await engines.restart('1');
    const [a, b] = submit(engines, 'a', 'b');
    expect(channel.started).toEqual(['a']);
    channel.answer('a');
    await a;
    expect(channel.started).toEqual(['a', 'b']);
    const error = serializeError(new AppError('input.context-length', 'too long'));
    channel.say({ type: 'request-failed', id: channel.idOf('b'), error });
    await b;
    submit(engines, 'a', 'b');
    expect(channel.started).toEqual(['a', 'b', 'a', 'b']);
  });

  it('lets the others in when the turn of a suspect is over, and then blames nobody alone (G4)', async () => {
    const engines = new FakeEngines();
    engines.ready();
    submit(engines, 'slow');
    engines.last.run('slow');
    const channel = await engines.restart('SIGABRT');
    const [slow] = submit(engines, 'slow', 'other');
    expect(channel.started).toEqual(['slow']);
    expect(engines.sleeps.at(-1)?.ms).toBe(60_000);
    engines.nowMs += 60_000;
    engines.sleeps.at(-1)?.wake();
    await tick();
    expect(channel.started).toEqual(['slow', 'other']);
    channel.run('slow', 'other');
    await engines.restart('SIGABRT');
    expect(await slow).toMatchObject({ code: 'transient.engine-interrupted' });
    engines.nowMs += 60_000;
    submit(engines, 'slow');
    // it failed late, so it gets longer
    expect(engines.sleeps.at(-1)?.ms).toBe(120_000);
  });

  it('keeps the process for a suspect whose caller has left, until the engine lets go of it (C3)', async () => {
    const engines = new FakeEngines();
    engines.ready();
    submit(engines, 'a');
    engines.last.run('a');
    const channel = await engines.restart('SIGSEGV');
    const abort = new AbortController();
    const left = outcome(engines.client.generate(request('a'), { signal: abort.signal }));
    submit(engines, 'b');
    abort.abort(new AppError('cancelled.by-user', 'stop'));
    expect(await left).toMatchObject({ code: 'cancelled.by-user' });
    expect(channel.started).toEqual(['a']);
    const error = serializeError(new AppError('cancelled.by-user', 'stop'));
    channel.say({ type: 'request-failed', id: channel.idOf('a'), error });
    expect(channel.started).toEqual(['a', 'b']);
    expect(engines.sleeps.at(-1)?.isOver).toBe(true);
    // leaving proves nothing
    submit(engines, 'a');
    expect(channel.started).toEqual(['a', 'b']);
  });

  it('refuses a second submission of the culprit that waits', async () => {
    const engines = new FakeEngines();
    engines.ready();
    submit(engines, 'bad');
    engines.last.run('bad');
    await engines.restart('SIGSEGV');
    const [one, other] = submit(engines, 'bad', 'bad');
    engines.last.die('SIGSEGV');
    expect(await one).toMatchObject({ code: 'bug.engine-crash' });
    expect(await other).toMatchObject({ code: 'bug.engine-crash' });
  });

  describe('pages', () => {
    const page = { tenant: 'a', digest: 'd', name: 'n', path: '/pages/1' };

    it('are carried by what it was given, and each that is wanted is answered', async () => {
      const uploaded: unknown[] = [];
      const pages: PageCarrier = {
        bytesPerSecond: 9,
        upload: (saved) => uploaded.push(saved),
        download: ({ path }) => Promise.resolve(path === '/pages/1'),
      };
      const engines = new FakeEngines({ pages });
      const channel = engines.ready();
      channel.say({ type: 'page-saved', page: { ...page, bytes: 1, replaces: false } });
      channel.say({ type: 'page-wanted', page });
      channel.say({ type: 'page-wanted', page: { ...page, path: '/pages/2' } });
      await tick();
      expect(uploaded).toEqual([{ ...page, bytes: 1, replaces: false }]);
      expect(channel.sent).toEqual([
        { type: 'page-arrived', path: '/pages/1', found: true, bytesPerSecond: 9 },
        { type: 'page-arrived', path: '/pages/2', found: false, bytesPerSecond: 9 },
      ]);
    });

    it('are nowhere to be had without a store', async () => {
      const engines = new FakeEngines();
      const channel = engines.ready();
      channel.say({ type: 'page-saved', page: { ...page, bytes: 1, replaces: false } });
      channel.say({ type: 'page-wanted', page });
      await tick();
      expect(channel.sent).toEqual([{ type: 'page-arrived', path: '/pages/1', found: false, bytesPerSecond: null }]);
    });

    it('that arrive after the process has ended are said to nobody', async () => {
      let arrive = (_found: boolean): void => {};
      const download = () => new Promise<boolean>((resolve) => (arrive = resolve));
      const engines = new FakeEngines({ pages: { bytesPerSecond: null, upload: () => {}, download } });
      const channel = engines.ready();
      channel.say({ type: 'page-wanted', page });
      channel.die('SIGKILL');
      arrive(true);
      await tick();
      expect(channel.sent).toEqual([]);
    });
  });

  it('finds the request that the system kills the process for, not the one that an operator met (S3)', async () => {
    const engines = new FakeEngines();
    engines.ready();
    const met: unknown[] = [];
    for (let kills = 1; kills <= 5; kills++) {
      const [answer] = submit(engines, 'large');
      engines.last.run('large');
      await engines.restart('SIGKILL');
      met.push(((await answer) as AppError).code);
    }
    const interrupted = 'transient.engine-interrupted';
    expect(met).toEqual([interrupted, interrupted, interrupted, interrupted, 'bug.engine-crash']);
    for (let ends = 1; ends <= 9; ends++) {
      const [answer] = submit(engines, 'unlucky');
      engines.last.run('unlucky');
      await engines.restart(ends % 2 === 0 ? 'SIGTERM' : '0');
      expect(await answer).toMatchObject({ code: interrupted });
    }
  });
});
