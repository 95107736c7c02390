import { describe, expect, it } from 'vitest';
import { RecentAnswers } from '../../../../src/engine/draft/recent-answers.ts';

const range = (start: number, total: number): number[] => Array.from({ length: total }, (_, at) => start + at);

describe('RecentAnswers', () => {
  it('has what a tenant was answered, the latest last, and nothing of others', () => {
    const recent = new RecentAnswers();
    recent.add('a', [1, 2]);
    recent.add('b', [9]);
    recent.add('a', [3]);
    expect(recent.of('a')).toEqual([1, 2, 3]);
    expect(recent.of('b')).toEqual([9]);
    expect(recent.of('c')).toEqual([]);
  });

  it('keeps the last 2,048 tokens, however long an answer is', () => {
    const recent = new RecentAnswers();
    recent.add('a', range(0, 2_000));
    recent.add('a', range(2_000, 100));
    expect(recent.of('a')).toEqual(range(52, 2_048));
    recent.add('a', range(0, 300_000));
    expect(recent.of('a')).toEqual(range(297_952, 2_048));
  });

  it('forgets the tenant that was answered longest ago', () => {
    const recent = new RecentAnswers();
    for (const number of range(0, 64)) recent.add(`tenant ${number}`, [number]);
    recent.add('tenant 0', [100]);
    recent.add('one more', [7]);
    expect(recent.of('tenant 0')).toEqual([0, 100]);
    expect(recent.of('tenant 1')).toEqual([]);
    expect(recent.of('one more')).toEqual([7]);
  });

  it('does not change what it has given away', () => {
    const recent = new RecentAnswers();
    recent.add('a', [1]);
    const before = recent.of('a');
    recent.add('a', [2]);
    expect(before).toEqual([1]);
  });
});
