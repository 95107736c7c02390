import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { Slab, type SlabMember, slabBlocks, slabRows } from '../../../../src/engine/kv/slab.ts';
import type { LatentRounding } from '../../../../src/engine/ports.ts';

const shape = { layers: 2, latentWidth: 3, rows: 256, rounding: null };
const blockBytes = 2 * 256 * 3 * 4;

class Member implements SlabMember {
  slot = -1;
  readonly mark: number;
  constructor(mark: number) {
    this.mark = mark;
  }
}

/** One row of a member, told apart by its mark, the layer and the row. */
function rowOf({ mark }: Member, layer: number, row: number): number[] {
  return [mark, layer, row];
}

function write(slab: Slab<Member>, member: Member, row: number): void {
  const latents = Float32Array.from([0, 1].flatMap((layer) => rowOf(member, layer, row)));
  slab.store(member, row, 1, { latents, index: 0, total: 1, padded: 1 });
}

function read(slab: Slab<Member>, member: Member, row: number): number[][] {
  return slab.view(member.slot, 1).map((layer) => [...layer.subarray(row * 3, row * 3 + 3)]);
}

function expectRows(slab: Slab<Member>, member: Member, rows: readonly number[]): void {
  for (const row of rows) expect(read(slab, member, row)).toEqual([rowOf(member, 0, row), rowOf(member, 1, row)]);
}

/** All others are zero, in every layer. */
function expectOnlyRows(slab: Slab<Member>, member: Member, rows: ReadonlySet<number>): void {
  expectRows(slab, member, [...rows]);
  const expected = [0, 1].map((layer) =>
    Float32Array.from({ length: 256 * 3 }, (_, at) => {
      const row = Math.floor(at / 3);
      return rows.has(row) ? (rowOf(member, layer, row)[at % 3] ?? 0) : 0;
    }),
  );
  expect(slab.view(member.slot, 1)).toEqual(expected);
}

interface Command {
  readonly type: string;
  readonly pick: number;
  readonly row: number;
}

function obey(slab: Slab<Member>, written: Map<Member, Set<number>>, { type, pick, row }: Command): void {
  const before = slab.members.length;
  const member = slab.members[pick % Math.max(before, 1)];
  if (type === 'add') {
    const added = new Member(pick);
    const fits = slab.add(added);
    expect(slab.members.length).toBe(fits ? before + 1 : before);
    if (fits) written.set(added, new Set());
  } else if (type === 'trim') {
    const capacity = slab.capacity;
    expect(slab.trim()).toBe(slab.capacity < capacity);
    expect(slab.trim()).toBe(false);
  } else if (member === undefined) return;
  else if (type === 'write') {
    write(slab, member, row);
    written.get(member)?.add(row);
  } else if (type === 'promote') {
    if (!slab.isDecoding(member)) slab.promote(member);
    expect(slab.isDecoding(member)).toBe(true);
  } else {
    slab.remove(member);
    written.delete(member);
  }
}

describe('Slab', () => {
  it('keeps the rows of every member through all moves, and balances its books', () => {
    const anyCommand = fc.record({
      type: fc.constantFrom('add', 'promote', 'remove', 'write', 'trim'),
      pick: fc.nat({ max: 1_000_000 }),
      row: fc.nat({ max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 80 }), (commands) => {
        const budget = new BlockBudget(12, blockBytes);
        const slab = new Slab<Member>(shape, budget, 'slab');
        const written = new Map<Member, Set<number>>();
        for (const command of commands) {
          obey(slab, written, command);
          slab.checkIntegrity();
          budget.checkIntegrity();
          expect(slab.decoding.every((one) => slab.isDecoding(one))).toBe(true);
          expect(slab.members.slice(0, slab.decoding.length)).toEqual(slab.decoding);
          for (const [one, rows] of written) expectRows(slab, one, [...rows]);
        }
        for (const [one, rows] of written) expectOnlyRows(slab, one, rows);
        for (const member of [...slab.members]) slab.remove(member);
        expect(budget.free).toBe(12);
      }),
      { numRuns: 200 },
    );
  });

  it('moves a member with its rows to a slab of longer ones, or leaves it where it is', () => {
    const budget = new BlockBudget(5, blockBytes);
    const short = new Slab<Member>(shape, budget, 'short');
    const long = new Slab<Member>({ ...shape, rows: 512 }, budget, 'long');
    const [first, second, third] = [new Member(1), new Member(2), new Member(3)];
    for (const member of [first, second]) {
      expect(short.add(member)).toBe(true);
      write(short, member, 0);
      write(short, member, 255);
    }
    short.promote(first);
    expect(short.moveTo(long, first)).toBe(true);
    expectRows(long, first, [0, 255]);
    expectRows(short, second, [0, 255]);
    expect([long.isDecoding(first), short.members]).toEqual([false, [second]]);
    // one block is left: the second one does not fit beside the first
    expect(long.add(third)).toBe(false);
    expect(short.moveTo(long, second)).toBe(false);
    expectRows(short, second, [0, 255]);
    for (const slab of [short, long]) slab.checkIntegrity();
  });

  it('keeps room for those who come back, and gives it up when asked', () => {
    const budget = new BlockBudget(12, blockBytes);
    const slab = new Slab<Member>(shape, budget, 'slab');
    const members = Array.from({ length: 8 }, (_, mark) => new Member(mark));
    for (const member of members) slab.add(member);
    for (const member of members.slice(0, 4)) slab.remove(member);
    expect([slab.capacity, slab.blocksForOneMore]).toEqual([8, 0]);
    slab.add(new Member(9));
    expect(slab.capacity).toBe(8);
    expect([slab.trim(), slab.capacity, budget.held, slab.trim()]).toEqual([true, 6, 6, false]);
  });

  it('takes pages in and gives them out', () => {
    const slab = new Slab<Member>({ ...shape, rows: 768 }, new BlockBudget(9, blockBytes), 'slab');
    const [other, member] = [new Member(1), new Member(2)];
    slab.add(other);
    slab.add(member);
    const page = Float32Array.from({ length: 2 * 256 * 3 }, (_, at) => at);
    slab.storePage(member, 256, page);
    expect(slab.copyPage(member, 256)).toEqual(page);
    expect(slab.copyPage(other, 256).every((value) => value === 0)).toBe(true);
  });

  it('leaves nothing of a member to those behind it, wherever its rows have been', () => {
    const budget = new BlockBudget(40, blockBytes);
    const slab = new Slab<Member>(shape, budget, 'slab');
    const long = new Slab<Member>({ ...shape, rows: 512 }, budget, 'long');
    const members = Array.from({ length: 4 }, (_, mark) => new Member(mark));
    for (const member of members) slab.add(member);
    const [, second, third, fourth] = members as [Member, Member, Member, Member];
    const latents = new Float32Array(2 * 3).fill(Number.NaN);
    for (const row of [0, 100, 255]) slab.store(third, row, 1, { latents, index: 0, total: 1, padded: 1 });
    // swapped to the front, moved over by the last one, and away to longer rows
    slab.promote(third);
    slab.promote(second);
    expect(slab.moveTo(long, third)).toBe(true);
    long.remove(third);
    slab.remove(fourth);
    const newcomers = Array.from({ length: 6 }, (_, mark) => new Member(10 + mark));
    for (const [index, member] of newcomers.entries()) expect((index % 2 === 0 ? slab : long).add(member)).toBe(true);
    const layers = [...slab.view(0, slab.members.length), ...long.view(0, long.members.length)];
    expect(layers.every((layer) => layer.every((value) => value === 0))).toBe(true);
  });

  it('keeps all rows when it outgrows the address space it has taken', () => {
    const slab = new Slab<Member>(shape, new BlockBudget(200, blockBytes), 'slab');
    const members = Array.from({ length: 70 }, (_, mark) => new Member(mark));
    for (const member of members) {
      slab.add(member);
      write(slab, member, member.mark);
    }
    for (const member of members) expectOnlyRows(slab, member, new Set([member.mark]));
  });

  it('rejects rows beyond its own and members of others', () => {
    const budget = new BlockBudget(4, blockBytes);
    const slab = new Slab<Member>(shape, budget, 'slab');
    const member = new Member(1);
    slab.add(member);
    expect(() => write(slab, member, 256)).toThrow('own rows to 257 of 256');
    expect(() => slab.remove(new Member(2))).toThrow('not a member of this slab');
    expect(() => slab.view(0, 2)).toThrow('slots to 2 of 1 members');
    slab.promote(member);
    expect(() => slab.promote(member)).toThrow('a member that decodes is promoted');
  });
});

describe('a slab whose own blocks are read in INT8', () => {
  /** Keys tell each row's first value. */
  const rounding: LatentRounding = {
    blockBytes: blockBytes / 2,
    round: async (latents, rows) =>
      latents.map((layer) => ({
        keys: new Int8Array(rows * 3),
        keySteps: Float32Array.from({ length: rows }, (_, row) => layer[row * 3] ?? Number.NaN),
        values: new Int8Array(rows * 2),
        valueSteps: new Float32Array(rows / 256),
      })),
  };
  const rounded = { ...shape, rows: 1024, rounding };

  it('holds half as much again for all blocks of a slot but the last', () => {
    expect([1, 2, 3].map((slots) => slabBlocks({ ...rounded, rows: 256 }, slots))).toEqual([1, 2, 3]);
    expect([1, 2, 3].map((slots) => slabBlocks(rounded, slots))).toEqual([4 + 2, 8 + 3, 12 + 5]);
    const budget = new BlockBudget(20, blockBytes);
    const slab = new Slab<Member>(rounded, budget, 'slab');
    slab.add(new Member(1));
    expect(budget.held).toBe(6);
    slab.checkIntegrity();
  });

  it('gives blocks of the members that are asked for, rounded once, wherever their slots have gone', async () => {
    const slab = new Slab<Member>(rounded, new BlockBudget(60, blockBytes), 'slab');
    const members = Array.from({ length: 4 }, (_, mark) => new Member(mark + 1));
    for (const member of members) {
      slab.add(member);
      for (let row = 0; row < 768; row++) write(slab, member, row);
    }
    const stepsOf = async (asked: readonly Member[], blocks: readonly number[]): Promise<unknown> => {
      const own = await slab.rounded(asked, blocks);
      slab.checkIntegrity();
      return own?.places.map((places) => places.map((block) => own.layers.map((layer) => layer.keySteps[block * 256])));
    };
    const [first, second, third, fourth] = members as [Member, Member, Member, Member];
    expect(await stepsOf([first, second], [0, 0])).toBe(undefined);
    expect(await stepsOf([first, second], [1, 3])).toEqual([
      [[1, 1]],
      [
        [2, 2],
        [2, 2],
        [2, 2],
      ],
    ]);
    slab.promote(third);
    slab.remove(first);
    expect(await stepsOf([third, second, fourth], [2, 3, 1])).toEqual([
      [
        [3, 3],
        [3, 3],
      ],
      [
        [2, 2],
        [2, 2],
        [2, 2],
      ],
      [[4, 4]],
    ]);
    slab.remove(third);
    const newcomer = new Member(9);
    slab.add(newcomer);
    expect(await stepsOf([newcomer], [0])).toBe(undefined);
    expect(await stepsOf([fourth, second], [2, 3])).toEqual([
      [
        [4, 4],
        [4, 4],
      ],
      [
        [2, 2],
        [2, 2],
        [2, 2],
      ],
    ]);
  });
});

describe('slabRows', () => {
  it('is a few sizes only, and never less than needed', () => {
    const sizes = new Set<number>();
    for (let rows = 1; rows <= 8192; rows++) {
      const slab = slabRows(rows, 256);
      expect(slab).toBeGreaterThanOrEqual(rows);
      expect(slab).toBeLessThanOrEqual(Math.max(256, rows * 1.5 + 256));
      expect(slab % 256).toBe(0);
      sizes.add(slab);
    }
    expect([...sizes].map((rows) => rows / 256)).toEqual([1, 2, 3, 4, 6, 8, 12, 16, 24, 32]);
  });
});
