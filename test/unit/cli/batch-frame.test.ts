import { describe, expect, it } from 'vitest';
import { describeEnd, formatSeconds, frameOf, isAllAnswered, isOver } from '../../../src/cli/batch-frame.ts';
import { completedBatch, fakeBatch } from './fake-batches.ts';

const nowMs = 1_000_000;

describe('frameOf', () => {
  it('counts failed lines as done, and tells of them', () => {
    const { head } = frameOf(fakeBatch({ request_counts: { total: 4, completed: 2, failed: 1 } }), nowMs);
    expect(head.bar).toEqual({ done: 3, total: 4, unit: 'lines' });
    expect(head.detail).toBe('1 failed, 10 s, about 3 s left');
  });

  it('estimates nothing from fewer than three lines', () => {
    const { head } = frameOf(fakeBatch({ request_counts: { total: 4, completed: 2, failed: 0 } }), nowMs);
    expect(head.detail).toBe('10 s');
  });

  it('has no bar while the lines are not counted, and says what is waited for', () => {
    const ext = { current: [], wait_reason: 'the input file is being checked', error_total: 0 };
    const counts = { total: 0, completed: 0, failed: 0 };
    const { head } = frameOf(fakeBatch({ status: 'validating', request_counts: counts, ext }), nowMs);
    expect(head).toMatchObject({ state: 'validating', bar: null, detail: '10 s, the input file is being checked' });
  });

  it('shows each line in work: tokens read, then tokens written', () => {
    const line = { prompt_tokens: 2_048, prefilled_tokens: 512, completion_tokens: 0 };
    const current = [
      { custom_id: 'a', step: 'prefill', ...line },
      { custom_id: 'b', step: 'answer', ...line, prefilled_tokens: 2_048, completion_tokens: 7 },
      { custom_id: 'c', step: 'wait', prompt_tokens: 0, prefilled_tokens: 0, completion_tokens: 0 },
    ];
    const { rows } = frameOf(fakeBatch({ ext: { current, wait_reason: null, error_total: 0 } }), nowMs);
    expect(rows[0]).toMatchObject({ label: 'a', state: 'reading', bar: { done: 512, total: 2_048 } });
    expect(rows[1]).toMatchObject({ label: 'b', state: 'answering', bar: null, detail: '7 tokens written' });
    expect(rows[2]).toMatchObject({ label: 'c', state: 'waiting', bar: null });
  });

  it('knows which states are the last', () => {
    const over = (
      ['validating', 'in_progress', 'finalizing', 'cancelling', 'completed', 'failed', 'expired', 'cancelled'] as const
    ).filter((status) => isOver({ status }));
    expect(over).toEqual(['completed', 'failed', 'expired', 'cancelled']);
  });
});

describe('the end of a batch', () => {
  it('is all answered only when it completed without a failed line', () => {
    expect(isAllAnswered(completedBatch())).toBe(true);
    expect(isAllAnswered(completedBatch({ request_counts: { total: 4, completed: 3, failed: 1 } }))).toBe(false);
    expect(isAllAnswered(completedBatch({ status: 'cancelled' }))).toBe(false);
    expect(isAllAnswered(completedBatch({ status: 'expired' }))).toBe(false);
  });

  it('is one sentence with time and tokens', () => {
    const usage = {
      input_tokens: 100,
      input_tokens_details: { cached_tokens: 60 },
      output_tokens: 9,
      output_tokens_details: { reasoning_tokens: 3 },
      total_tokens: 109,
    };
    expect(describeEnd(completedBatch({ usage }), nowMs)).toMatch(
      /completed: 4 of 4 lines answered, 0 failed, 10 s · 100 tokens read, 60 of them from the cache, 9 written$/,
    );
  });

  it('writes times as people say them', () => {
    expect([0, 59, 61, 3_725].map(formatSeconds)).toEqual(['0 s', '59 s', '1 min 1 s', '1 h 2 min']);
  });
});
