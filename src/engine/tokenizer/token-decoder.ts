import type { TokenDecoder } from '../ports.ts';

/** Streaming decoder over token bytes: a character comes out with its last byte, broken ones as U+FFFD. */
export function openTokenDecoder(tokenBytes: (id: number) => Uint8Array): TokenDecoder {
  // a byte order mark is text like any other
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push: (id) => decoder.decode(tokenBytes(id), { stream: true }),
    flush: () => decoder.decode(),
  };
}

/** Do these bytes end inside a character, so that a streaming decoder waits for more? The last three are enough. */
export function endInsideCharacter(bytes: Uint8Array): boolean {
  const decoder = new TextDecoder();
  decoder.decode(bytes, { stream: true });
  return decoder.decode() !== '';
}
