import { beforeEach, describe, expect, it } from 'vitest';
import { findSuspect, laneTotal, type TimedEntry } from '../../../src/batch/line-suspicion.ts';
import type { LineResult, LogEntry, PlannedUnit } from '../../../src/batch/records.schema.ts';
import { resultOf } from './batch-world.ts';

const unit: PlannedUnit = {
  id: 'u000000',
  shared_prefix: null,
  lines: [0, 1, 2].map((index) => ({ index, seed: index })),
};

let atMs: number;
let epoch: number;
beforeEach(() => {
  atMs = 0;
  epoch = 0;
});

function timed(entry: LogEntry): TimedEntry {
  atMs += 1_000;
  return { entry, atMs };
}
const claim = (owner: string): TimedEntry => {
  epoch += 1;
  return timed({ version: 1, type: 'claim', epoch, owner, nonce: `${epoch}` });
};
const segment = (results: readonly LineResult[] = []): TimedEntry =>
  timed({ version: 1, type: 'segment', epoch, results, nonce: `s${atMs}` });

describe('findSuspect', () => {
  it('convicts the first line without a result after two shared and three lonely deaths', () => {
    const log = [segment([]), claim('z'), segment([resultOf(0, 'a')])];
    log.push(...['a', 'b', 'c', 'd', 'e'].map(claim));
    expect(findSuspect(log, unit, 3)).toBeNull();
    log.push(claim('f'));
    const suspicion = findSuspect(log, unit, 3);
    expect(suspicion?.lineIndex).toBe(1);
    expect(suspicion?.deaths.map(({ owner }) => owner)).toEqual(['c', 'd', 'e']);
    expect(suspicion?.deaths[0]).toMatchObject({ claimedMs: 6_000, replacedMs: 7_000 });
  });

  it('clears the line when anything is written: a result, a checkpoint, a goodbye', () => {
    const log = [...['a', 'b', 'c', 'd', 'e'].map(claim), segment(), claim('f'), claim('g'), claim('h')];
    expect(findSuspect(log, unit, 3)).toBeNull();
  });

  it('clears the line when its checkpoints grow, and only then', () => {
    const saved = (tokens: number): TimedEntry =>
      timed({
        version: 1,
        type: 'segment',
        epoch,
        results: [],
        checkpoint: { sha256: 'a'.repeat(64), tokens },
        nonce: `s${atMs}`,
      });
    // it dies at one place, beyond its last checkpoint
    const same = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].flatMap((owner) => [claim(owner), saved(64)]);
    expect(findSuspect(same, unit, 3)?.lineIndex).toBe(0);
    epoch = 0;
    const growing = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].flatMap((owner, life) => [claim(owner), saved(64 * life)]);
    expect(findSuspect(growing, unit, 3)).toBeNull();
  });

  it('does not count an owner that is heard of again', () => {
    // one worker that is refused by something else again and again
    expect(
      findSuspect(
        Array.from({ length: 30 }, () => claim('a')),
        unit,
        3,
      ),
    ).toBeNull();
    const two = Array.from({ length: 30 }, (_, turn) => claim(turn % 2 === 0 ? 'a' : 'b'));
    expect(findSuspect(two, unit, 3)).toBeNull();
  });

  it('names no line when all have a result and the owners die before the seal', () => {
    const done = segment([0, 1, 2].map((index) => resultOf(index, 'x')));
    const log = [claim('z'), done, ...['a', 'b', 'c', 'd', 'e', 'f'].map(claim)];
    expect(findSuspect(log, unit, 3)?.lineIndex).toBeNull();
  });

  it('convicts nobody in a sealed unit', () => {
    const log = ['a', 'b', 'c', 'd', 'e', 'f'].map(claim);
    expect(findSuspect(log, unit, 3)).not.toBeNull();
    log.push(timed({ version: 1, type: 'seal', reason: 'cancelled', nonce: 'n' }));
    expect(findSuspect(log, unit, 3)).toBeNull();
  });
});

describe('laneTotal', () => {
  it('is one from the third fruitless claim on', () => {
    expect([1, 2, 3, 9].map((claims) => laneTotal(16, claims))).toEqual([16, 16, 1, 1]);
  });
});
