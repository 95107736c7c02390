import { describe, expect, it } from 'vitest';
import { advanceUtf8, characterStart } from '../../../../src/engine/grammar/utf8-state.ts';

function isWhole(bytes: Uint8Array): boolean {
  const state = advanceUtf8(characterStart, bytes);
  return state !== null && state.due === 0;
}

function decodes(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe('advanceUtf8', () => {
  it('agrees with the platform decoder on every sequence of two bytes and on the edges of longer ones', () => {
    for (let first = 0; first < 256; first++) {
      for (let second = 0; second < 256; second++) {
        const pair = Uint8Array.of(first, second);
        expect(isWhole(pair), String(pair)).toBe(decodes(pair));
      }
    }
    const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
    for (const first of [0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5]) {
      for (const second of edges) {
        for (const third of [0x7f, 0x80, 0xbf, 0xc0]) {
          for (const bytes of [Uint8Array.of(first, second, third), Uint8Array.of(first, second, third, 0x80)]) {
            expect(isWhole(bytes), String(bytes)).toBe(decodes(bytes));
          }
        }
      }
    }
  });
});
