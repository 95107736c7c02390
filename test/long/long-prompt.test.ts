import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { byteVocabulary } from '../support/byte-tokenizer.ts';
import { chatMessage, generateRequest, openTestEngine, RecordingListener } from '../support/test-engine.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** The longest prompt that Kimi-K2-Thinking takes, on a checkpoint of the shape of `test/fixtures/k2-tiny-bf16`. */
const promptTokens = 262_144;

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-256k-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a prompt of 256K tokens', () => {
  it('is read to its end, answered, and read from pages the second time', async () => {
    const fixture = new URL('../fixtures/k2-tiny-bf16/config.json', import.meta.url);
    const config = JSON.parse(readFileSync(fixture, 'utf8')) as Record<string, unknown>;
    const windowTokens = promptTokens + 1_024;
    const shape = { ...config, vocab_size: byteVocabulary, max_position_embeddings: windowTokens };
    writeTinyCheckpoint(root, { config: shape }, 1);
    const runner = await openOrtRunner(root, { precision: 'full', threads: 2 });
    const { engine, budget } = openTestEngine(runner, { blocks: 3 * 1_040 });
    const ask = (question: string) => {
      const messages = [
        chatMessage('user', 'a long story '.repeat(promptTokens).slice(0, promptTokens - 200)),
        chatMessage('user', question),
      ];
      return engine.generate(
        generateRequest(question, { messages, sharedMessages: 1, maxTokens: 8 }),
        new RecordingListener(),
      );
    };
    const startMs = performance.now();
    const first = await ask('What is it about?');
    expect(first.promptTokens).toBeGreaterThan(promptTokens - 200);
    expect(first.completionTokens).toBeGreaterThan(2);
    const firstMs = performance.now() - startMs;
    engine.dropIdle();
    const second = await ask('What is it about?');
    expect(second.content).toBe(first.content);
    expect(second.cachedTokens).toBeGreaterThan(promptTokens - 512);
    console.log({
      firstS: firstMs / 1_000,
      secondS: (performance.now() - startMs - firstMs) / 1_000,
      rssMiB: process.memoryUsage().rss / 2 ** 20,
    });
    engine.checkIntegrity();
    expect(budget.total).toBe(3 * 1_040);
    await runner.close();
  }, 7_200_000);
});
