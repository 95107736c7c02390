import type { TokenDecoder } from '../ports.ts';

/** Streaming decoder over token bytes: a character comes out with its last byte, broken ones as U+FFFD. */
export function openTokenDecoder(tokenBytes: (id: number) => Uint8Array): TokenDecoder {
  // a byte order mark is text like any other
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let isBetweenCharacters = true;
  return {
    push: (id) => {
      const bytes = tokenBytes(id);
      if (isBetweenCharacters && bytes.every(isAscii)) return String.fromCharCode(...bytes);
      isBetweenCharacters = bytes.length > 0 ? isAscii(bytes.at(-1) ?? 0) : isBetweenCharacters;
      return decoder.decode(bytes, { stream: true });
    },
    flush: () => {
      isBetweenCharacters = true;
      return decoder.decode();
    },
  };
}

/** A byte that is a character by itself: no character is open behind it. */
function isAscii(byte: number): boolean {
  return byte < 0x80;
}

/** Do these bytes end inside a character, so that a streaming decoder waits for more? The last three are enough. */
export function endInsideCharacter(bytes: Uint8Array): boolean {
  const decoder = new TextDecoder();
  decoder.decode(bytes, { stream: true });
  return decoder.decode() !== '';
}
