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
/** A claim under which this line began with nothing beside it. */
const alone = (owner: string, lineIndex = 0): readonly TimedEntry[] => [
  claim(owner),
  timed({ version: 1, type: 'segment', epoch, results: [], alone: lineIndex, nonce: `a${atMs}` }),
];
const segment = (results: readonly LineResult[] = []): TimedEntry =>
  timed({ version: 1, type: 'segment', epoch, results, nonce: `s${atMs}` });

describe('findSuspect', () => {
  it('convicts the first line without a result after two shared and three lonely deaths', () => {
    const log = [segment([]), claim('z'), segment([resultOf(0, 'a')])];
    log.push(...['a', 'b'].map(claim), ...['c', 'd', 'e'].flatMap((owner) => alone(owner, 1)));
    expect(findSuspect(log, unit, 3)).toBeNull();
    log.push(claim('f'));
    const suspicion = findSuspect(log, unit, 3);
    expect(suspicion?.lineIndex).toBe(1);
    expect(suspicion?.deaths.map(({ owner }) => owner)).toEqual(['c', 'd', 'e']);
    expect(suspicion?.deaths[0]).toMatchObject({ claimedMs: 6_000, replacedMs: 8_000 });
  });

  it('does not count deaths before the line began, or while another one ran', () => {
    const log = [...['a', 'b'].map(claim), ...alone('c'), ...alone('d')];
    log.push(...['e', 'f', 'g', 'h', 'i'].map(claim));
    expect(findSuspect(log, unit, 3)).toBeNull();
    log.push(...alone('j', 1), ...alone('k', 1), ...alone('l', 1), claim('m'));
    expect(findSuspect(log, unit, 3)).toBeNull();
    // owners die without it as well, so only those in a row count
    log.push(...alone('n'), claim('o'), ...alone('p'), ...alone('q'), claim('r'));
    expect(findSuspect(log, unit, 3)).toBeNull();
    log.push(...['s', 't', 'u'].flatMap((owner) => alone(owner)), claim('v'));
    expect(findSuspect(log, unit, 3)).toMatchObject({ lineIndex: 0 });
    expect(findSuspect(log, unit, 3)?.deaths.map(({ owner }) => owner)).toEqual(['s', 't', 'u']);
  });

  it('clears the line when anything is written: a result, a checkpoint, a goodbye', () => {
    const lives = (owners: readonly string[]) => owners.flatMap((owner) => alone(owner));
    const log = [...lives(['a', 'b', 'c', 'd', 'e']), segment(), ...lives(['f', 'g', 'h'])];
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
    const same = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].flatMap((owner) => [...alone(owner), saved(64)]);
    expect(findSuspect(same, unit, 3)?.lineIndex).toBe(0);
    epoch = 0;
    const growing = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].flatMap((owner, life) => [...alone(owner), saved(64 * life)]);
    expect(findSuspect(growing, unit, 3)).toBeNull();
  });

  it('does not count an owner that is heard of again', () => {
    // one worker that is refused by something else again and again
    expect(findSuspect(Array.from({ length: 30 }, () => alone('a')).flat(), unit, 3)).toBeNull();
    const two = Array.from({ length: 30 }, (_, turn) => alone(turn % 2 === 0 ? 'a' : 'b')).flat();
    expect(findSuspect(two, unit, 3)).toBeNull();
  });

  it('names no line when all have a result and the owners die before the seal', () => {
    const done = segment([0, 1, 2].map((index) => resultOf(index, 'x')));
    const log = [claim('z'), done, ...['a', 'b', 'c', 'd', 'e', 'f'].map(claim)];
    expect(findSuspect(log, unit, 3)?.lineIndex).toBeNull();
  });

  it('convicts nobody in a sealed unit', () => {
    const log = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((owner) => alone(owner));
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
