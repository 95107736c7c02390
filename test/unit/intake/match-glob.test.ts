import { describe, expect, it } from 'vitest';
import { matchGlob } from '../../../src/intake/match-glob.ts';

describe('matchGlob', () => {
  it.each([
    ['*', ''],
    ['*.md', 'a.md'],
    ['*.md', '.md'],
    ['a?c', 'a😀c'],
    ['*a*b*', 'xaxbx'],
    ['**', 'x'],
    ['lease-*-final.md', 'lease-7-final-final.md'],
    ['[a].(md)+', '[a].(md)+'],
  ])('%s matches %s', (pattern, name) => {
    expect(matchGlob(pattern, name)).toBe(true);
  });

  it.each([
    ['', 'a'],
    ['?', ''],
    ['*.md', 'a.MD'],
    ['*.md', 'a.md2'],
    ['a.md', 'aXmd'],
    ['*a*b', 'ba'],
    ['a', 'ab'],
  ])('%s does not match %s', (pattern, name) => {
    expect(matchGlob(pattern, name)).toBe(false);
  });

  it('takes no longer for a pattern made to take long', () => {
    const beginMs = performance.now();
    expect(matchGlob(`${'*a'.repeat(200)}b`, 'a'.repeat(1_000))).toBe(false);
    expect(performance.now() - beginMs).toBeLessThan(1_000);
  });
});
