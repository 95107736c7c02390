import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { RadixPrefixCache } from '../../../../src/engine/kv/radix-prefix-cache.ts';

/**
 * The cache beside a model that has no clever structure: a list of names by last use, parents read off the names. A
 * name is its path ("0", "01", "012"), so a text is a string of digits.
 */

const blockBytes = 4;

class Model {
  /** Oldest first. */
  order: string[] = [];
  held = 0;
  readonly total: number;

  constructor(total: number) {
    this.total = total;
  }

  get free(): number {
    return this.total - this.order.length - this.held;
  }

  matched(names: readonly string[]): readonly string[] {
    const end = names.findIndex((name) => !this.order.includes(name));
    return end < 0 ? names : names.slice(0, end);
  }

  /** Moves pages to the end, the last first, so that none is older than what lies behind it. */
  use(names: readonly string[]): void {
    for (const name of names.toReversed()) this.order = [...this.order.filter((each) => each !== name), name];
  }

  evictOne(kept: string | null): boolean {
    const victim = this.order.find(
      (name) => name !== kept && !this.order.some((other) => other.length > name.length && other.startsWith(name)),
    );
    if (victim === undefined) return false;
    this.order = this.order.filter((name) => name !== victim);
    return true;
  }

  insert(name: string, parent: string | null): boolean {
    if (this.order.includes(name)) return true;
    if (parent !== null && !this.order.includes(parent)) return false;
    if (this.free === 0 && !this.evictOne(parent)) return false;
    // as recent as its parent
    const place = parent === null ? this.order.length : this.order.indexOf(parent);
    this.order.splice(place, 0, name);
    return true;
  }
}

const text = fc
  .array(fc.nat(2), { minLength: 1, maxLength: 6 })
  .map((digits) => digits.map((_, end) => digits.slice(0, end + 1).join('')));

const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('insert' as const), names: text }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('fill' as const), names: text }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('match' as const), names: text }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('evict' as const), pages: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('take' as const), blocks: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('give' as const), blocks: fc.nat(4) }) },
);

type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never;

function insertBoth(cache: RadixPrefixCache, model: Model, names: readonly string[]): void {
  const name = names.at(-1) ?? '';
  const parent = names.at(-2) ?? null;
  const latents = Float32Array.of(Number.parseInt(name, 3));
  expect(cache.insert(name, parent, latents)).toBe(model.insert(name, parent));
}

function apply(cache: RadixPrefixCache, budget: BlockBudget, model: Model, step: Command): void {
  switch (step.type) {
    case 'insert':
      insertBoth(cache, model, step.names);
      return;
    case 'fill':
      for (const [index] of step.names.entries()) insertBoth(cache, model, step.names.slice(0, index + 1));
      return;
    case 'match': {
      const found = model.matched(step.names);
      expect(cache.match(step.names)).toBe(found.length);
      model.use(found);
      return;
    }
    case 'evict': {
      let evicted = 0;
      while (evicted < step.pages && model.evictOne(null)) evicted++;
      expect(cache.evict(step.pages)).toBe(evicted);
      return;
    }
    case 'take': {
      const fits = step.blocks <= model.free + model.order.length;
      expect(budget.take('run', step.blocks)).toBe(fits);
      if (!fits) return;
      while (model.free < step.blocks) model.evictOne(null);
      model.held += step.blocks;
      return;
    }
    case 'give': {
      const blocks = Math.min(step.blocks, model.held);
      budget.give('run', blocks);
      model.held -= blocks;
      return;
    }
  }
}

describe('RadixPrefixCache against a naive model', () => {
  it('keeps the same pages after any commands, and its integrity after each', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9 }), fc.array(command, { maxLength: 60 }), (total, commands) => {
        const budget = new BlockBudget(total, blockBytes);
        const cache = new RadixPrefixCache(budget);
        const model = new Model(total);
        for (const step of commands) {
          apply(cache, budget, model, step);
          cache.checkIntegrity();
          expect(cache.pageTotal).toBe(model.order.length);
          for (const name of model.order) expect(cache.read(name)?.[0], name).toBe(Number.parseInt(name, 3));
          expect(budget).toMatchObject({ free: model.free, cached: model.order.length, held: model.held });
        }
        expect(cache.evict(total)).toBe(model.order.length);
        cache.checkIntegrity();
      }),
      { numRuns: 400 },
    );
  });
});
