import { describe, expect, it } from 'vitest';
import { isTerminal, legalMoves, moveBatch, patchBatch } from '../../../src/batch/batch-state.ts';
import { type BatchRecord, type BatchStatus, batchStates } from '../../../src/batch/records.schema.ts';

const record = (status: BatchStatus): BatchRecord => ({
  version: 1,
  id: 'batch_a',
  tenant: 'default',
  endpoint: '/v1/analyses',
  model: null,
  input_file_id: 'file-a',
  completion_window: '24h',
  status,
  errors: [],
  error_total: 0,
  output_file_id: null,
  error_file_id: null,
  created_at: 1,
  expires_at: 2,
  in_progress_at: null,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: { total: 0, completed: 0, failed: 0 },
  usage: null,
  metadata: null,
  priority: 'batch',
  output_expires_after_seconds: null,
});

const moves = batchStates.flatMap((from) => batchStates.map((to) => [from, to] as const));

describe('moveBatch', () => {
  it.each(moves)('%s → %s follows the table', (from, to) => {
    if (to === 'validating') return expect(legalMoves[from]).not.toContain(to);
    if (!legalMoves[from].includes(to)) {
      return expect(() => moveBatch(record(from), to, 9)).toThrow(expect.objectContaining({ code: 'input.state' }));
    }
    return expect(moveBatch(record(from), to, 9)).toEqual({ ...record(from), status: to, [`${to}_at`]: 9 });
  });

  it('ends in the four final states, from everywhere', () => {
    expect(batchStates.filter(isTerminal)).toEqual(['failed', 'completed', 'expired', 'cancelled']);
    for (const start of batchStates) {
      const reached = new Set([start]);
      for (const status of reached) for (const next of legalMoves[status]) reached.add(next);
      expect([...reached].some(isTerminal)).toBe(true);
    }
  });

  it('sets what the move brings and leaves the given record alone', () => {
    const before = record('in_progress');
    const after = moveBatch(before, 'finalizing', 9, { request_counts: { total: 2, completed: 1, failed: 1 } });
    expect(after.request_counts.total).toBe(2);
    expect(before).toEqual(record('in_progress'));
  });
});

describe('patchBatch', () => {
  it('refuses to change a final record', () => {
    expect(patchBatch(record('in_progress'), { model: 'm' }).model).toBe('m');
    expect(() => patchBatch(record('completed'), { model: 'm' })).toThrow(/a final record does not change/);
  });
});
