import { describe, expect, it } from 'vitest';
import type { GenerateProgress, GenerateRequest } from '../../../src/engine/index.ts';
import { buildProgressReporter, readHeardTokens, WrittenTokens } from '../../../workers/compose/report-progress.ts';
import { FakeBus } from '../../support/fake-queue.ts';
import { generateResult } from '../../support/generate-result.ts';

const progressOf = (completionTokens: number, phase: GenerateProgress['phase'] = 'answer'): GenerateProgress => ({
  phase,
  promptTokens: 9,
  prefilledTokens: 9,
  completionTokens,
});

/** Requests that write what the test says, and end when it says so. */
function setUp() {
  const written = new WrittenTokens();
  const running = new Map<string, { write(tokens: number, phase?: GenerateProgress['phase']): void; end(): void }>();
  const generate = written.follow(
    (request, options) =>
      new Promise((resolve) => {
        running.set(request.id, {
          write: (tokens, phase) => options.onProgress?.(progressOf(tokens, phase)),
          end: () => resolve(generateResult()),
        });
      }),
  );
  const bus = new FakeBus();
  const clock = { ms: 1_000 };
  const unit = { batchId: 'batch_a', unitId: 'u000000' };
  const tell = buildProgressReporter(bus, unit, written, () => clock.ms);
  const start = (id: string, customId: string) =>
    generate({ id } as GenerateRequest, {
      signal: new AbortController().signal,
      onProgress: (progress) => tell(customId, progress),
    });
  return { bus, clock, written, running, start };
}

describe('progress of a unit', () => {
  it('says how far every request of the batch is, whichever line speaks', async () => {
    const { bus, running, start, clock } = setUp();
    void start('batch_a/0', 'first');
    void start('batch_a/1/1', 'second');
    void start('batch_b/0', 'another batch');
    running.get('batch_b/0')?.write(70);
    clock.ms += 250;
    running.get('batch_a/0')?.write(40);
    clock.ms += 250;
    running.get('batch_a/1/1')?.write(12);
    expect(await bus.readProgress('batch_a')).toEqual([
      expect.objectContaining({
        unitId: 'u000000',
        customId: 'second',
        completionTokens: 12,
        written: { 'batch_a/0': 40, 'batch_a/1/1': 12 },
      }),
    ]);
    expect(await readHeardTokens(bus, 'batch_a')).toEqual(
      new Map([
        ['batch_a/0', 40],
        ['batch_a/1/1', 12],
      ]),
    );
  });

  it('is told four times a second, however many lines there are', async () => {
    const { bus, running, start } = setUp();
    void start('batch_a/0', 'first');
    running.get('batch_a/0')?.write(40);
    running.get('batch_a/0')?.write(41);
    expect((await bus.readProgress('batch_a'))[0]?.completionTokens).toBe(40);
  });

  it('knows whose prompt is read, for good: only those can say where they are', async () => {
    const { written, running, start } = setUp();
    void start('batch_a/0', 'first');
    void start('batch_a/1', 'second');
    running.get('batch_a/0')?.write(1, 'prefill');
    running.get('batch_a/1')?.write(2, 'think');
    // put back to make room
    running.get('batch_a/1')?.write(2, 'wait');
    expect(written.listBegun(['batch_a/0', 'batch_a/1', 'batch_a/2'])).toEqual(['batch_a/1']);
  });

  it('forgets a request that has ended', async () => {
    const { bus, running, start, clock } = setUp();
    const first = start('batch_a/0', 'first');
    void start('batch_a/1', 'second');
    running.get('batch_a/0')?.write(40);
    running.get('batch_a/0')?.end();
    await first;
    clock.ms += 250;
    running.get('batch_a/1')?.write(3);
    expect(await readHeardTokens(bus, 'batch_a')).toEqual(new Map([['batch_a/1', 3]]));
  });
});

describe('readHeardTokens', () => {
  it('takes missing, mistaken and older news for nothing', async () => {
    const unread = { readProgress: () => Promise.reject(new Error('away')) } as unknown as FakeBus;
    expect(await readHeardTokens(unread, 'batch_a')).toEqual(new Map());
    const report = { unitId: 'u', customId: 'c', step: 'answer', ...progressOf(1), atMs: 1 } as const;
    const reports = [report, { ...report, written: { a: 5, b: -1, c: 0.5 } }, { ...report, written: { a: 4 } }];
    const bus = { readProgress: async () => reports } as unknown as FakeBus;
    expect(await readHeardTokens(bus, 'batch_a')).toEqual(new Map([['a', 5]]));
  });
});
