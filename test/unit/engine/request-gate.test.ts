import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestGate } from '../../../src/engine/request-gate.ts';

interface Entry {
  readonly name: string;
  readonly priority: number;
  readonly deadlineMs: number | null;
  readonly order: number;
  readonly bytes: number;
  readonly isSuspect: boolean;
}

let order = 0;
const entry = (name: string, more: Partial<Entry> = {}): Entry => ({
  name,
  priority: 1,
  deadlineMs: null,
  order: order++,
  bytes: 1,
  isSuspect: false,
  ...more,
});

function openGate(limits: { maxInFlight?: number; maxInFlightBytes?: number } = {}) {
  const clock = { nowMs: 0 };
  const gate = new RequestGate<Entry>({
    maxInFlight: 256,
    maxInFlightBytes: 1_000,
    fairMs: 100,
    isSuspect: ({ isSuspect }) => isSuspect,
    nowMs: () => clock.nowMs,
    ...limits,
  });
  const takeAll = (): readonly Entry[] => {
    const taken: Entry[] = [];
    for (let next = gate.take(); next !== undefined; next = gate.take()) taken.push(next);
    return taken;
  };
  const names = (): readonly string[] => takeAll().map(({ name }) => name);
  const add = (...entries: readonly Entry[]): void => {
    for (const each of entries) gate.add(each);
  };
  return { gate, clock, add, takeAll, names };
}

describe('RequestGate', () => {
  it('orders by priority, then deadline, then arrival (G1)', () => {
    const { add, names } = openGate();
    add(
      entry('third'),
      entry('fourth'),
      entry('second', { deadlineMs: 9 }),
      entry('first', { deadlineMs: 3 }),
      entry('urgent', { priority: 0 }),
    );
    expect(names()).toEqual(['urgent', 'first', 'second', 'third', 'fourth']);
  });

  it('lets in as many and as much as allowed, and nobody past the first who must wait (G1, G2)', () => {
    const { gate, add, takeAll, names } = openGate({ maxInFlight: 2, maxInFlightBytes: 10 });
    add(entry('a', { bytes: 6 }), entry('b', { bytes: 5 }), entry('c'), entry('d'));
    const [a] = takeAll();
    expect(a?.name).toBe('a');
    expect(names()).toEqual([]);
    if (a !== undefined) gate.remove(a);
    expect(names()).toEqual(['b', 'c']);
  });

  it('lets in one that is larger than the limit when nothing else is in (G2)', () => {
    const { gate, add, takeAll, names } = openGate({ maxInFlightBytes: 10 });
    const small = entry('small');
    add(small, entry('huge', { bytes: 99 }), entry('next'));
    expect(takeAll()).toEqual([small]);
    gate.remove(small);
    expect(names()).toEqual(['huge']);
  });

  it('forgets one that waits', () => {
    const { gate, add, names } = openGate();
    const gone = entry('gone');
    add(entry('a'), gone, entry('b'));
    gate.remove(gone);
    expect(names()).toEqual(['a', 'b']);
  });

  it('empties the process for a suspect and keeps everything else out of its turn (G3)', () => {
    const { gate, add, takeAll, names } = openGate();
    const a = entry('a');
    const suspect = entry('suspect', { isSuspect: true });
    add(a);
    expect(takeAll()).toEqual([a]);
    add(suspect, entry('b'));
    expect(takeAll()).toEqual([]);
    gate.remove(a);
    expect(takeAll()).toEqual([suspect]);
    expect(gate.alone).toBe(suspect);
    add(entry('urgent', { priority: 0 }));
    expect(names()).toEqual([]);
    gate.remove(suspect);
    expect(gate.alone).toBeNull();
    expect(names()).toEqual(['urgent', 'b']);
  });

  it('takes suspects first when the process is empty, but not before a better priority (G3)', () => {
    const { add, takeAll } = openGate();
    add(entry('a'), entry('b'), entry('suspect', { isSuspect: true }));
    expect(takeAll().map(({ name }) => name)).toEqual(['suspect']);
    const other = openGate();
    other.add(entry('urgent', { priority: 0 }), entry('suspect', { isSuspect: true }));
    expect(other.names()).toEqual(['urgent']);
  });

  it('lets the others in beside a suspect whose turn has ended, for as long as it took (G4, G5)', () => {
    const { gate, clock, add, names, takeAll } = openGate();
    const slow = entry('slow', { isSuspect: true });
    const next = entry('next', { isSuspect: true });
    add(slow, entry('a'), next, entry('b'));
    expect(names()).toEqual(['slow']);
    clock.nowMs += 150;
    gate.endTurn();
    const beside = takeAll();
    expect(beside.map(({ name }) => name)).toEqual(['a', 'b']);
    clock.nowMs += 149;
    const late = entry('late');
    add(late);
    expect(takeAll()).toEqual([late]);
    clock.nowMs += 1;
    add(entry('later'));
    expect(names()).toEqual([]);
    for (const each of [slow, ...beside, late]) gate.remove(each);
    expect(takeAll()).toEqual([next]);
  });

  it('counts the turns of many suspects together (G5)', () => {
    const { gate, clock, add, takeAll } = openGate();
    const suspects = ['s1', 's2', 's3'].map((name) => entry(name, { isSuspect: true }));
    add(...suspects, entry('a'));
    for (const name of ['s1', 's2']) {
      const [taken] = takeAll();
      expect(taken?.name).toBe(name);
      clock.nowMs += 50;
      if (taken !== undefined) gate.remove(taken);
    }
    const [a] = takeAll();
    expect(a?.name).toBe('a');
    if (a !== undefined) gate.remove(a);
    // nothing else is left to do, so the time of the others ends early
    expect(takeAll().map(({ name }) => name)).toEqual(['s3']);
  });

  it('keeps its limits and the loneliness of suspects, loses nobody and never idles, whatever happens', () => {
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({
        type: fc.constant('add' as const),
        priority: fc.nat(2),
        deadlineMs: fc.option(fc.nat(3), { nil: null }),
        bytes: fc.integer({ min: 1, max: 15 }),
        isSuspect: fc.boolean(),
      }),
      fc.record({ type: fc.constant('end' as const), pick: fc.nat(99) }),
      fc.record({ type: fc.constant('leave' as const), pick: fc.nat(99) }),
      fc.record({ type: fc.constant('pass' as const), ms: fc.nat(120), endsTurn: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const model = new GateModel();
        for (const each of steps) model.take(each);
      }),
      { seed: 5, numRuns: 300 },
    );
  });
});

type Step =
  | ({ readonly type: 'add' } & Pick<Entry, 'priority' | 'deadlineMs' | 'bytes' | 'isSuspect'>)
  | { readonly type: 'end'; readonly pick: number }
  | { readonly type: 'leave'; readonly pick: number }
  | { readonly type: 'pass'; readonly ms: number; readonly endsTurn: boolean };

class GateModel {
  readonly #gate = openGate({ maxInFlight: 4, maxInFlightBytes: 10 });
  readonly #inFlight = new Set<Entry>();
  #held = 0;

  take(step: Step): void {
    const { gate, clock, takeAll } = this.#gate;
    if (step.type === 'add') gate.add(entry(`${this.#held++}`, step));
    else if (step.type === 'end') this.#leave([...this.#inFlight], step.pick);
    else if (step.type === 'leave') this.#leave(gate.waiting, step.pick);
    else {
      clock.nowMs += step.ms;
      if (step.endsTurn) gate.endTurn();
    }
    for (const taken of takeAll()) {
      expect(taken.isSuspect && this.#inFlight.size > 0).toBe(false);
      this.#inFlight.add(taken);
    }
    this.#check();
  }

  #leave(from: readonly Entry[], pick: number): void {
    const gone = from[pick % Math.max(from.length, 1)];
    if (gone === undefined) return;
    this.#gate.gate.remove(gone);
    this.#inFlight.delete(gone);
    this.#held--;
  }

  #check(): void {
    const { alone, waiting } = this.#gate.gate;
    const inFlight = [...this.#inFlight];
    const bytes = inFlight.reduce((sum, each) => sum + each.bytes, 0);
    expect(inFlight.length).toBeLessThanOrEqual(4);
    expect(inFlight.length === 1 || bytes <= 10).toBe(true);
    if (alone !== null) expect(inFlight).toEqual([alone]);
    expect(inFlight.length + waiting.length).toBe(this.#held);
    expect(inFlight.length > 0 || waiting.length === 0).toBe(true);
  }
}
