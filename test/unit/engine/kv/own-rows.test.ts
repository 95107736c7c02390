import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { OwnRows } from '../../../../src/engine/kv/own-rows.ts';
import type { LatentRounding } from '../../../../src/engine/ports.ts';

const shape = { layers: 2, latentWidth: 3, rounding: null };
const blockBytes = 2 * 256 * 3 * 4;

interface Member {
  readonly mark: number;
}

const member = (mark: number): Member => ({ mark });

/** One row of a member, told apart by its mark, the layer and the row. */
const rowOf = ({ mark }: Member, layer: number, row: number): number[] => [mark, layer, row];

function write(own: OwnRows<Member>, one: Member, row: number): void {
  const latents = Float32Array.from([0, 1].flatMap((layer) => rowOf(one, layer, row)));
  own.store(one, row, 1, { latents, index: 0, total: 1, padded: 1 });
}

/** All rows of a member as a run finds them, a layer. */
function read(own: OwnRows<Member>, one: Member): number[][][] {
  return own.layers.map((layer) =>
    own
      .blocksOf(one)
      .flatMap((block) =>
        Array.from({ length: 256 }, (_, row) => [
          ...layer.subarray((block * 256 + row) * 3, (block * 256 + row + 1) * 3),
        ]),
      ),
  );
}

/** It has exactly these rows, and zero elsewhere. */
function expectRows(own: OwnRows<Member>, one: Member, written: ReadonlySet<number>): void {
  const wanted = [0, 1].map((layer) =>
    Array.from({ length: own.roomOf(one) }, (_, row) => (written.has(row) ? rowOf(one, layer, row) : [0, 0, 0])),
  );
  expect(read(own, one)).toEqual(wanted);
}

interface Command {
  readonly type: 'add' | 'grow' | 'remove' | 'write';
  readonly pick: number;
  readonly rows: number;
}

/** @param written rows of each member that is there */
function obey(
  own: OwnRows<Member>,
  budget: BlockBudget,
  written: Map<Member, Set<number>>,
  { type, pick, rows }: Command,
): void {
  const known = [...written.keys()];
  const one = type === 'add' ? member(pick) : known[pick % known.length];
  if (one === undefined) return;
  const [room, held] = [own.roomOf(one), budget.held];
  if (type === 'remove') {
    own.remove(one);
    written.delete(one);
  } else if (type === 'write') {
    write(own, one, rows % room);
    written.get(one)?.add(rows % room);
  } else if (own.reserve(one, rows)) {
    expect(own.roomOf(one)).toBeGreaterThanOrEqual(Math.max(room, rows));
    written.set(one, written.get(one) ?? new Set());
  } else {
    expect([own.roomOf(one), budget.held]).toEqual([room, held]);
  }
}

describe('OwnRows', () => {
  it('keeps the rows of every member while others come, grow and go, and balances its books', () => {
    const anyCommand: fc.Arbitrary<Command> = fc.record({
      type: fc.constantFrom('add', 'grow', 'remove', 'write'),
      pick: fc.nat({ max: 1_000_000 }),
      rows: fc.integer({ min: 1, max: 700 }),
    });
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 60 }), (commands) => {
        const budget = new BlockBudget(12, blockBytes);
        const own = new OwnRows<Member>(shape, budget);
        const written = new Map<Member, Set<number>>();
        for (const command of commands) {
          obey(own, budget, written, command);
          own.checkIntegrity(new Set(written.keys()));
          budget.checkIntegrity();
        }
        for (const [one, rows] of written) expectRows(own, one, rows);
        for (const one of written.keys()) own.remove(one);
        expect([budget.free, own.layers.map(({ length }) => length)]).toEqual([12, [0, 0]]);
      }),
      { numRuns: 150 },
    );
  });

  it('leaves nothing of a member to those that get its blocks', () => {
    const own = new OwnRows<Member>(shape, new BlockBudget(100, blockBytes));
    const members = Array.from({ length: 20 }, (_, mark) => member(mark));
    const latents = new Float32Array(2 * 3).fill(Number.NaN);
    for (const one of members) {
      own.reserve(one, 300);
      for (const row of [0, 255, 299]) own.store(one, row, 1, { latents, index: 0, total: 1, padded: 1 });
    }
    for (const one of members) own.remove(one);
    for (const one of members) own.reserve(one, 600);
    expect(own.layers.every((layer) => layer.length === 60 * 256 * 3 && layer.every((value) => value === 0))).toBe(
      true,
    );
  });

  it('keeps all rows when it outgrows the address space it has taken', () => {
    const own = new OwnRows<Member>(shape, new BlockBudget(400, blockBytes));
    const members = Array.from({ length: 300 }, (_, mark) => member(mark));
    for (const one of members) {
      own.reserve(one, 1);
      write(own, one, one.mark % 256);
    }
    for (const one of members) expectRows(own, one, new Set([one.mark % 256]));
  });

  it('stores rows of a run that go on in the next block, of its sequence and no other', () => {
    const own = new OwnRows<Member>(shape, new BlockBudget(20, blockBytes));
    const [first, second] = [member(1), member(2)];
    own.reserve(first, 10);
    own.reserve(second, 1);
    own.reserve(first, 600);
    // [layers, 2 sequences, 300 rows, width] of which the second keeps none
    const latents = Float32Array.from({ length: 2 * 2 * 300 * 3 }, (_, at) => at);
    own.store(first, 200, 290, { latents, index: 1, total: 2, padded: 300 });
    const rows = read(own, first);
    expect(rows[1]?.[200]).toEqual([2_700, 2_701, 2_702]);
    expect(rows[0]?.[255]).toEqual([1_065, 1_066, 1_067]);
    expect(rows[0]?.[256]).toEqual([1_068, 1_069, 1_070]);
    expect(rows[0]?.[489]).toEqual([1_767, 1_768, 1_769]);
    expect(rows[0]?.[490]).toEqual([0, 0, 0]);
    expectRows(own, second, new Set());
  });

  it('takes pages in and gives them out', () => {
    const own = new OwnRows<Member>(shape, new BlockBudget(9, blockBytes));
    const [other, one] = [member(1), member(2)];
    own.reserve(other, 700);
    own.reserve(one, 700);
    const page = Float32Array.from({ length: 2 * 256 * 3 }, (_, at) => at);
    own.storePage(one, 256, page);
    expect(own.copyPage(one, 256)).toEqual(page);
    expect(own.copyPage(other, 256).every((value) => value === 0)).toBe(true);
  });

  it('rejects rows beyond its room, and members it does not know', () => {
    const own = new OwnRows<Member>(shape, new BlockBudget(4, blockBytes));
    const one = member(1);
    own.reserve(one, 256);
    expect(() => write(own, one, 256)).toThrow('own rows to 257 of 256');
    expect(() => own.remove(member(2))).toThrow('a member without blocks is removed');
    expect(() => own.copyPage(one, 256)).toThrow('a member has no block at row 256');
    expect(() => own.checkIntegrity(new Set())).toThrow('blocks of nobody');
  });
});

describe('own rows that are read in INT8 too', () => {
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

  function setUp(marks: readonly number[], rows: number) {
    const budget = new BlockBudget(80, blockBytes);
    const own = new OwnRows<Member>({ ...shape, rounding }, budget);
    const members = marks.map(member);
    for (const one of members) {
      own.reserve(one, rows);
      for (let row = 0; row < rows; row++) write(own, one, row);
    }
    /** Of each member, the marks that its blocks have in each layer. */
    const stepsOf = async (group: string, asked: readonly Member[], blocks: readonly number[]) => {
      const given = await own.rounded(group, asked, blocks);
      const marksOf = (block: number) => given?.layers.map(({ keySteps }) => keySteps[block * 256]).join();
      return given?.places.map((places) => places.map(marksOf));
    };
    return { budget, own, members, stepsOf };
  }

  it('hold half as much again, of each member for all blocks but its last', () => {
    const { budget, own, members } = setUp([1, 2, 3], 256);
    expect(budget.held).toBe(3);
    const [first, second] = members as [Member, Member];
    own.reserve(first, 257);
    expect([budget.held, own.blocksFor(257)]).toEqual([4 + 1, 3]);
    own.reserve(second, 1_000);
    expect(budget.held).toBe(2 + 4 + 1 + 2);
    own.remove(second);
    expect(budget.held).toBe(2 + 1 + 1);
    own.checkIntegrity(new Set(members.filter((one) => one !== second)));
  });

  it('are rounded once, and those of the members that are asked for', async () => {
    const { own, members, stepsOf } = setUp([1, 2, 3, 4], 768);
    const [first, second, third, fourth] = members as [Member, Member, Member, Member];
    expect(await stepsOf('a', [first, second], [0, 0])).toBe(undefined);
    expect(await stepsOf('a', [first, second], [1, 3])).toEqual([['1,1'], ['2,2', '2,2', '2,2']]);
    own.remove(first);
    expect(await stepsOf('a', [third, second], [2, 3])).toEqual([
      ['3,3', '3,3'],
      ['2,2', '2,2', '2,2'],
    ]);
    own.remove(third);
    const newcomer = member(5);
    own.reserve(newcomer, 300);
    expect(await stepsOf('a', [newcomer, fourth], [1, 2])).toEqual([['0,0'], ['4,4', '4,4']]);
    own.checkIntegrity(new Set([second, fourth, newcomer]));
  });

  it('lie apart for those who do not run together', async () => {
    const { own, members, stepsOf } = setUp([1, 2, 3], 768);
    const [first, second, third] = members as [Member, Member, Member];
    await stepsOf('a', [first], [1]);
    await stepsOf('b', [second], [1]);
    await stepsOf('a', [third], [2]);
    const given = await own.rounded('a', [first, third], [1, 2]);
    expect(given?.layers.map(({ valueSteps }) => valueSteps.length)).toEqual([3, 3]);
    expect(given?.places).toEqual([[0], [1, 2]]);
    // only what lies between is given beside what is asked for
    expect((await own.rounded('a', [third], [2]))?.layers[0]?.valueSteps).toHaveLength(2);
  });
});
