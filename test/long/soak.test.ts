import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAppError } from '../../src/base/errors.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { openDiskTier } from '../../src/engine/kv/disk-tier.ts';
import type { GenerateRequest } from '../../src/engine/messages.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { SeededRandom } from '../../src/engine/sample/random.ts';
import { byteVocabulary } from '../support/byte-tokenizer.ts';
import { chatMessage, generateRequest, openTestEngine, RecordingListener } from '../support/test-engine.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';
import { shareMs } from './minutes.ts';

/** Load with random arrivals, cancellations and too little memory: at the end nothing is held and nothing has grown. */
let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-soak-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const residentMebibytes = (): number => {
  collectGarbage();
  return process.memoryUsage().rss / 2 ** 20;
};

const documents = Array.from({ length: 8 }, (_, index) => `${index} ${'it was the best of times '.repeat(60)}`);

/** Sixteen callers that ask, wait, and sometimes lose patience. */
class RandomLoad {
  readonly ends = { finished: 0, cancelled: 0 };
  readonly #engine: Engine;
  readonly #random = new SeededRandom(20261125);
  #requests = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async runFor(ms: number): Promise<void> {
    const endMs = Date.now() + ms;
    const caller = async (): Promise<void> => {
      while (Date.now() < endMs) await this.#runOne();
    };
    await Promise.all(Array.from({ length: 16 }, caller));
  }

  #pick(total: number): number {
    return Math.floor(this.#random.next() * total);
  }

  async #runOne(): Promise<void> {
    const request = this.#draw(`r${this.#requests++}`);
    const running = this.#engine.generate(request, new RecordingListener());
    if (this.#pick(5) === 0) void this.#cancelLater(request.id, this.#pick(200));
    try {
      await running;
      this.ends.finished++;
    } catch (error) {
      if (!isAppError(error) || error.code !== 'cancelled.by-user') throw error;
      this.ends.cancelled++;
    }
  }

  async #cancelLater(id: string, turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
    this.#engine.cancel(id);
  }

  #draw(id: string): GenerateRequest {
    const document = documents[this.#pick(documents.length)] ?? '';
    return generateRequest(id, {
      messages: [
        chatMessage('user', document.slice(0, 200 + this.#pick(document.length - 200))),
        chatMessage('user', `${id} ${'?'.repeat(this.#pick(300))}`),
      ],
      sharedMessages: 1,
      maxTokens: 2 + this.#pick(this.#pick(10) === 0 ? 400 : 40),
      priority: this.#pick(3),
      tenant: this.#pick(4) === 0 ? 'other' : 'one',
      stream: this.#pick(2) === 0,
      checkpointEvery: { tokens: 16, ms: 1_000 },
    });
  }
}

describe('the engine under load', () => {
  it(
    'leaks no page and no memory',
    async () => {
      const model = join(root, 'model');
      writeTinyCheckpoint(model, { config: { vocab_size: byteVocabulary, max_position_embeddings: 8_192 } }, 3);
      const runner = await openOrtRunner(model, { precision: 'full', threads: 1 });
      const { layers, latentWidth, digest } = runner;
      const tier = await openDiskTier({
        folder: join(root, 'pages'),
        digest,
        layers,
        latentWidth,
        budgetBytes: 2 ** 24,
      });
      // room for about four sequences of the largest kind: the rest is preempted again and again
      const { engine, budget, cache } = openTestEngine(runner, { blocks: 48, maxSequences: 12, tier });
      const load = new RandomLoad(engine);

      await load.runFor(shareMs(0.2) / 4);
      const before = residentMebibytes();
      await load.runFor((shareMs(0.2) * 3) / 4);
      const after = residentMebibytes();
      const { preemptions } = engine.stats();
      engine.dropIdle();
      engine.checkIntegrity();
      console.log({ ...load.ends, preemptions, before, after, cached: budget.cached });
      expect(budget.held).toBe(0);
      expect(cache.pageTotal).toBe(budget.cached);
      cache.evict(cache.pageTotal);
      expect(budget.free).toBe(budget.total);
      expect(load.ends.finished).toBeGreaterThan(0);
      expect(load.ends.cancelled).toBeGreaterThan(0);
      expect(preemptions).toBeGreaterThan(0);
      // the garbage collector's own slack; a leak of one page a request would be hundreds of megabytes
      expect(after - before).toBeLessThan(64);
      await tier.close();
      await runner.close();
    },
    shareMs(0.2) + 600_000,
  );
});
