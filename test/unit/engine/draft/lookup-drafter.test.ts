import { describe, expect, it } from 'vitest';
import type { DraftOutcome } from '../../../../src/engine/draft/drafter.ts';
import { LookupDrafter } from '../../../../src/engine/draft/lookup-drafter.ts';

interface Source {
  readonly tenant: string;
  readonly promptTokens: number;
  readonly tokens: number[];
  readonly pendingTotal: number;
  readonly answer: { readonly remainingTokens: number };
}

const sourceOf = (tokens: readonly number[], remainingTokens = 1_000, tenant = 'one'): Source => ({
  tenant,
  promptTokens: 4,
  tokens: [...tokens],
  pendingTotal: 1,
  answer: { remainingTokens },
});
const range = (start: number, total: number): number[] => Array.from({ length: total }, (_, at) => start + at);

/** Text of its own, then its first 20 tokens again. */
const quoting = (start: number): Source => sourceOf([...range(start, 200), ...range(start, 20)]);
const runOf = (members: readonly Source[]) => ({ members, readRows: 1_024 });

const outcomeOf = (draft: readonly number[], accepted: number): DraftOutcome => ({
  drafted: draft.length,
  accepted: Math.min(accepted, draft.length),
  end: accepted < draft.length ? 'differed' : 'open',
});

/** A member that goes on as it is told to, for so many runs; returns the drafts. */
function follow(drafter: LookupDrafter<Source>, source: Source, runs: number, isRight: boolean, rowMs = 0): number[] {
  const lengths: number[] = [];
  for (let count = 0; count < runs; count++) {
    const run = runOf([source]);
    const [draft = []] = drafter.draft(run);
    lengths.push(draft.length);
    drafter.learn(run, [outcomeOf(draft, isRight ? draft.length : 0)], 1 + draft.length, 10 + rowMs * draft.length);
    // what came true, and one token more; or the same two tokens again and again behind a new one
    if (isRight) for (let more = 0; more <= draft.length; more++) source.tokens.push((source.tokens.at(-1) ?? 0) + 1);
    else source.tokens.push(1_000_000 + count, 5, 6);
  }
  return lengths;
}

describe('LookupDrafter', () => {
  it('drafts what followed earlier', () => {
    const [draft = []] = new LookupDrafter<Source>(8).draft(runOf([quoting(500)]));
    expect(draft.length).toBeGreaterThan(0);
    expect(draft).toEqual(range(520, draft.length));
  });

  it('drafts what an earlier answer of the tenant said, and nothing that another tenant was told', () => {
    const drafter = new LookupDrafter<Source>(8);
    // four tokens are the prompt
    drafter.remember(sourceOf([...range(9_000, 4), ...range(500, 30)]));
    const asking = [...range(0, 20), 500, 501, 502];
    const [own = []] = drafter.draft(runOf([sourceOf(asking)]));
    expect(own.length).toBeGreaterThan(0);
    expect(own).toEqual(range(503, own.length));
    expect(drafter.draft(runOf([sourceOf(asking, 1_000, 'two')]))).toEqual([[]]);
    const [ofPrompt] = drafter.draft(runOf([sourceOf([...range(0, 20), 9_000, 9_001, 9_002])]));
    expect(ofPrompt).toEqual([]);
  });

  it('takes what the document says before what an earlier answer said', () => {
    const drafter = new LookupDrafter<Source>(8);
    drafter.remember(sourceOf([...range(9_000, 4), 1, 2, 3, 700, 701, 702]));
    const [draft = []] = drafter.draft(runOf([sourceOf([1, 2, 3, 800, 801, 802, 50, 51, 1, 2, 3])]));
    expect(draft.length).toBeGreaterThan(0);
    expect(draft).toEqual(range(800, draft.length));
  });

  it('drafts nothing for text that never stood before', () => {
    expect(new LookupDrafter<Source>(8).draft(runOf([sourceOf(range(0, 50))]))).toEqual([[]]);
  });

  it('drafts more when drafts come true, up to the limit', () => {
    const lengths = follow(new LookupDrafter<Source>(8), quoting(0), 12, true);
    expect(lengths[0]).toBeLessThan(8);
    expect(lengths.slice(-4)).toEqual([8, 8, 8, 8]);
  });

  it('gives up what never comes true, and tries it again now and then', () => {
    const source = sourceOf([...range(0, 10), 5, 6, 7, 8, 5, 6]);
    const lengths = follow(new LookupDrafter<Source>(8), source, 3_000, false, 2.5);
    const tried = lengths.filter((length) => length > 0).length;
    expect(lengths.slice(5, 50).every((length) => length === 0)).toBe(true);
    expect(lengths.slice(50).some((length) => length > 0)).toBe(true);
    expect(tried).toBeLessThan(60);
  });

  it('begins a new answer with what the others have taught', () => {
    const drafter = new LookupDrafter<Source>(8);
    const first = follow(drafter, quoting(0), 20, true)[0] ?? 0;
    const [next = []] = drafter.draft(runOf([quoting(5_000)]));
    expect(next.length).toBeGreaterThan(first);
  });

  it('drafts less for many at a time, where rows have their price', () => {
    const drafter = new LookupDrafter<Source>(8);
    follow(drafter, quoting(0), 20, true, 2.5);
    const lengthFor = (total: number): number => {
      const members = Array.from({ length: total }, (_, index) => quoting(1_000 * (index + 2)));
      return Math.max(...drafter.draft(runOf(members)).map(({ length }) => length));
    };
    expect(lengthFor(1)).toBe(8);
    const silent = Array.from({ length: 15 }, (_, index) => sourceOf(range(10_000 * (index + 1), 30)));
    // one that quotes would widen the run for all
    expect(drafter.draft(runOf([quoting(700), ...silent])).every((draft) => draft.length === 0)).toBe(true);
  });

  it('fills rows that are padding anyway', () => {
    const drafter = new LookupDrafter<Source>(8);
    const members = [{ ...sourceOf(range(0, 30)), pendingTotal: 4 }, quoting(500)];
    const [none = [], draft = []] = drafter.draft(runOf(members));
    expect(none).toEqual([]);
    expect(draft.length).toBeGreaterThanOrEqual(3);
  });

  it('keeps to the tokens that are left', () => {
    const drafter = new LookupDrafter<Source>(8);
    follow(drafter, quoting(0), 20, true);
    const lengthOf = (source: Source): number => drafter.draft(runOf([source]))[0]?.length ?? 0;
    const { tokens } = quoting(3_000);
    expect(lengthOf(sourceOf(tokens, 100))).toBe(8);
    expect(lengthOf(sourceOf(tokens, 4))).toBe(3);
    expect(lengthOf(sourceOf(tokens, 1))).toBe(0);
  });

  it('drafts no more for a sequence whose draft has spoiled a run', () => {
    const drafter = new LookupDrafter<Source>(8);
    const source = quoting(0);
    const run = runOf([source]);
    const [draft = []] = drafter.draft(run);
    drafter.learn(run, [{ drafted: draft.length, accepted: 0, end: 'spoiled' }], 9, 1);
    expect(drafter.draft(run)).toEqual([[]]);
    expect(drafter.draft(runOf([quoting(0)]))[0]?.length).toBeGreaterThan(0);
  });
});
