import { describe, expect, it } from 'vitest';
import { parseLineRequest } from '../../../src/batch/index.ts';
import type { EmbedRequest, EmbedResult } from '../../../src/engine/index.ts';
import { LineRunner } from '../../../src/pipeline/index.ts';
import { modelCard } from '../../support/build-api.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

const width = 3;
const encode = (values: readonly number[]): string => Buffer.from(Float32Array.from(values).buffer).toString('base64');

function run(body: object, answer: Partial<EmbedResult> = {}) {
  const asked: EmbedRequest[] = [];
  const runner = new LineRunner({
    generate: () => Promise.reject(new Error('no answer is asked for here')),
    embed: async (request) => {
      asked.push(request);
      const vectors = request.inputs.map((_input, index) => encode([0.1, -1 / 3, index]));
      return { vectors, width, promptTokens: 12, ...answer };
    },
    loadDocument: () => Promise.reject(new Error('no document is asked for here')),
    card: { ...modelCard, notice: 'weights are random' },
    clock: { nowMs: () => 0, sleep: () => Promise.resolve() },
  });
  const done = runner.run({
    name: 'batch_1/0',
    tenant: 'default',
    request: parseLineRequest('/v1/embeddings', { model: modelCard.id, ...body }, [modelCard.id]),
    seed: 1,
    priority: 4,
    deadlineMs: 90_000,
    signal: new AbortController().signal,
    onProgress: () => {},
    journal: new MemoryJournal(),
    openDeltas: null,
  });
  return { asked, done };
}

describe('embeddings', () => {
  it('are OpenAI’s list of floats, in the order of the inputs', async () => {
    const { asked, done } = run({ input: ['a', [5, 6]] });
    const { statusCode, body } = await done;
    expect(statusCode).toBe(200);
    expect(asked).toEqual([{ id: 'batch_1/0', inputs: ['a', [5, 6]], priority: 4, deadlineMs: 90_000 }]);
    expect(body).toMatchObject({
      object: 'list',
      data: [
        { object: 'embedding', index: 0 },
        { object: 'embedding', index: 1 },
      ],
      model: modelCard.id,
      usage: { prompt_tokens: 12, total_tokens: 12 },
      ext: { attempts: 1, notice: 'weights are random' },
    });
    const [, second] = body['data'] as { embedding: number[] }[];
    expect(Float32Array.from(second?.embedding ?? [])).toEqual(Float32Array.from([0.1, -1 / 3, 1]));
    // not the sixteen digits of a widened float32
    expect(JSON.stringify(second?.embedding)).toBe('[0.100000001,-0.333333343,1]');
  });

  it('are passed on as bytes when asked for in base64', async () => {
    const { body } = await run({ input: 'a', encoding_format: 'base64' }).done;
    expect(body['data']).toEqual([{ object: 'embedding', index: 0, embedding: encode([0.1, -1 / 3, 0]) }]);
  });

  it.each<[string, Partial<EmbedResult>]>([
    ['a vector is missing', { vectors: [] }],
    ['a vector has another width', { width: 4 }],
  ])('are an error of ours when %s', async (_what, answer) => {
    expect(await run({ input: 'a' }, answer).done).toMatchObject({
      statusCode: 500,
      body: { error: { code: 'internal_error' } },
    });
  });
});
