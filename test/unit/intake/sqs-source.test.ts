import { describe, expect, it } from 'vitest';
import { type MessageQueue, type QueueMessage, runSqsSource } from '../../../src/intake/index.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';
import { ManualClock } from '../batch/batch-world.ts';

const eventOf = (...keys: readonly string[]): string =>
  JSON.stringify({ Records: keys.map((key) => ({ s3: { object: { key } } })) });

const messageOf = (id: string, body: string): QueueMessage => ({ id, body, receipt: `receipt-${id}` });

/** Hands out what it was given, one answer a call, then stops the source. */
class FakeQueue implements MessageQueue {
  readonly deleted: string[] = [];
  readonly happened: string[] = [];
  undeletable: readonly string[] = [];
  readonly #answers: (readonly QueueMessage[] | Error)[];
  readonly #stop: AbortController;

  constructor(answers: readonly (readonly QueueMessage[] | Error)[], stop: AbortController) {
    this.#answers = [...answers];
    this.#stop = stop;
  }

  async receive(): Promise<readonly QueueMessage[]> {
    const answer = this.#answers.shift();
    if (answer === undefined) {
      this.#stop.abort();
      return [];
    }
    if (answer instanceof Error) throw answer;
    return answer;
  }

  async delete(receipts: readonly string[]): Promise<readonly string[]> {
    this.happened.push(`delete ${receipts.join(' ')}`);
    this.deleted.push(...receipts.filter((receipt) => !this.undeletable.includes(receipt)));
    return receipts.filter((receipt) => this.undeletable.includes(receipt));
  }
}

async function run(answers: readonly (readonly QueueMessage[] | Error)[], undeletable: readonly string[] = []) {
  const stop = new AbortController();
  const queue = new FakeQueue(answers, stop);
  queue.undeletable = undeletable;
  const [log, clock] = [new RecordingLogger(), new ManualClock()];
  const beginMs = clock.nowMs();
  const onKeys = (keys: readonly string[]): void => void queue.happened.push(`hint ${keys.join(' ')}`);
  await runSqsSource({ queue, onKeys, clock, log }, stop.signal);
  return { queue, log, sleptMs: clock.nowMs() - beginMs };
}

describe('runSqsSource', () => {
  it('takes the hint before it deletes the message', async () => {
    const { queue } = await run([[messageOf('1', eventOf('inbox/a+b.md')), messageOf('2', eventOf('x', 'y'))], []]);
    expect(queue.happened).toEqual(['hint inbox/a b.md', 'hint x y', 'delete receipt-1 receipt-2']);
  });

  it('logs and deletes what it cannot understand', async () => {
    const { queue, log } = await run([[messageOf('1', 'not json'), messageOf('2', eventOf('inbox/a.md'))]]);
    expect(queue.happened[0]).toBe('hint inbox/a.md');
    expect(queue.deleted).toEqual(['receipt-1', 'receipt-2']);
    expect(log.lines).toMatchObject([
      { level: 'warn', fields: { messageId: '1', err: { code: 'input.invalid-json' } } },
    ]);
  });

  it('goes on, more and more patiently, when the queue fails', async () => {
    const { queue, sleptMs } = await run([
      new Error('away'),
      new Error('away'),
      [messageOf('1', eventOf('inbox/a.md'))],
    ]);
    expect(sleptMs).toBe(3_000);
    expect(queue.deleted).toEqual(['receipt-1']);
  });

  it('says so when a message could not be deleted', async () => {
    const { log } = await run([[messageOf('1', eventOf('inbox/a.md'))]], ['receipt-1']);
    expect(log.lines.map(({ message }) => message)).toEqual(['notifications could not be deleted and come again']);
  });
});
