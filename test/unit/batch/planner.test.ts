import { describe, expect, it } from 'vitest';
import { derivedSeed, outlineLine, planUnits } from '../../../src/batch/planner.ts';
import type { Line, LineUrl, Plan } from '../../../src/batch/records.schema.ts';

const batchId = 'batch_test';

function plan(bodies: readonly Record<string, unknown>[], url: LineUrl = '/v1/analyses'): Plan {
  const lines = bodies.map((body, index): Line => ({ index, custom_id: `c${index}`, url, body }));
  return planUnits(
    batchId,
    lines.map((line) => outlineLine(line, JSON.stringify(line).length)),
  );
}

const ask = (key: string, question = 'q'): Record<string, unknown> => ({ model: 'm', documents: [{ key }], question });
const chat = (...contents: readonly string[]): Record<string, unknown> => ({
  model: 'm',
  messages: contents.map((content) => ({ role: 'user', content })),
});
const indexesOf = ({ units }: Plan): number[][] => units.map(({ lines }) => lines.map(({ index }) => index));

describe('planUnits', () => {
  it('puts questions about the same documents together, in order of first appearance', () => {
    const { units } = plan([ask('a'), ask('b'), ask('a', 'other'), ask('b'), ask('c')]);
    expect(indexesOf({ version: 1, batch_id: batchId, units })).toEqual([[0, 2], [1, 3], [4]]);
    expect(units.map(({ id }) => id)).toEqual(['u000000', 'u000001', 'u000002']);
    expect(new Set(units.map(({ shared_prefix: prefix }) => prefix)).size).toBe(3);
  });

  it('packs embeddings, which share nothing', () => {
    const embed = { model: 'm', input: 'x'.repeat(2_000), messages: [{ role: 'user', content: 'a' }] };
    const { units } = plan([embed, embed, embed], '/v1/embeddings');
    expect(units).toHaveLength(1);
    expect(units[0]?.shared_prefix).toBeNull();
  });

  it('keeps documents of another model, order or key order apart or together as they should', () => {
    const two = [{ key: 'a' }, { key: 'b' }];
    const bodies = [
      { model: 'm', documents: two, question: 'q' },
      { model: 'n', documents: two, question: 'q' },
      { model: 'm', documents: [...two].reverse(), question: 'q' },
      { documents: two, question: 'q', model: 'm' },
    ];
    expect(indexesOf(plan(bodies))).toEqual([[0, 3], [1], [2]]);
  });

  it('starts a new unit after 256 lines of one document', () => {
    const units = plan(Array.from({ length: 300 }, () => ask('a'))).units;
    expect(units.map(({ lines }) => lines.length)).toEqual([256, 44]);
    expect(units[0]?.shared_prefix).toBe(units[1]?.shared_prefix);
  });

  it('packs short chats that share nothing, up to 64', () => {
    const units = plan(
      Array.from({ length: 130 }, (_, index) => chat(`hello ${index}`)),
      '/v1/chat/completions',
    ).units;
    expect(units.map(({ lines }) => lines.length)).toEqual([64, 64, 2]);
    expect(units.every(({ shared_prefix: prefix }) => prefix === null)).toBe(true);
  });

  it('packs by bytes when lines are long', () => {
    const long = 'x'.repeat(100_000);
    const sizes = plan([chat(long), chat(long), chat(long)], '/v1/chat/completions').units.map(
      ({ lines }) => lines.length,
    );
    expect(sizes).toEqual([2, 1]);
  });

  it('groups chats by all but their last user message, when that is long enough', () => {
    const long = 'x'.repeat(2_000);
    const bodies = [chat(long, 'one'), chat('short', 'a'), chat(long, 'two'), chat('short', 'b')];
    expect(indexesOf(plan(bodies, '/v1/chat/completions'))).toEqual([
      [0, 2],
      [1, 3],
    ]);
    const withTools = { ...chat(long, 'three'), tools: [{ type: 'function' }] };
    expect(indexesOf(plan([chat(long, 'one'), withTools], '/v1/chat/completions'))).toEqual([[0], [1]]);
  });

  it('plans bodies that are nonsense', () => {
    const bodies = [{}, { documents: 'a' }, { documents: [] }, { messages: [1, null] }];
    expect(indexesOf(plan(bodies))).toEqual([[0, 1, 2, 3]]);
    expect(indexesOf(plan(bodies, '/v1/chat/completions'))).toEqual([[0, 1, 2, 3]]);
  });

  it('gives every line a seed: its own, or one that never changes', () => {
    const seeds = plan([{ ...ask('a'), seed: 7 }, ask('a'), { ...ask('a'), seed: 'x' }]).units[0]?.lines;
    expect(seeds?.map(({ seed }) => seed)).toEqual([7, derivedSeed(batchId, 1), derivedSeed(batchId, 2)]);
    for (let index = 0; index < 200; index++) {
      const seed = derivedSeed(batchId, index);
      expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31).toBe(true);
    }
    expect(derivedSeed('batch_other', 1)).not.toBe(derivedSeed(batchId, 1));
  });
});
