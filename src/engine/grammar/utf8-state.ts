/**
 * Where in a UTF-8 character a byte stream stands: how many continuation bytes are due, and what the next one may be
 * (the first continuation byte is bounded so that overlong forms and surrogates cannot appear; Unicode table 3-7).
 */
export interface Utf8State {
  readonly due: number;
  readonly min: number;
  readonly max: number;
}

export const characterStart: Utf8State = { due: 0, min: 0, max: 0 };

const due = (count: number, min = 0x80, max = 0xbf): Utf8State => ({ due: count, min, max });

/** The state after `bytes`, or null when they are no UTF-8 from here. */
export function advanceUtf8(state: Utf8State, bytes: Uint8Array): Utf8State | null {
  let current: Utf8State | null = state;
  for (const byte of bytes) {
    current = current.due === 0 ? startOf(byte) : continued(current, byte);
    if (current === null) return null;
  }
  return current;
}

function continued(state: Utf8State, byte: number): Utf8State | null {
  if (byte < state.min || byte > state.max) return null;
  return state.due === 1 ? characterStart : due(state.due - 1);
}

function startOf(byte: number): Utf8State | null {
  if (byte < 0x80) return characterStart;
  if (byte < 0xc2 || byte > 0xf4) return null;
  if (byte < 0xe0) return due(1);
  if (byte < 0xf0) return due(2, byte === 0xe0 ? 0xa0 : 0x80, byte === 0xed ? 0x9f : 0xbf);
  return due(3, byte === 0xf0 ? 0x90 : 0x80, byte === 0xf4 ? 0x8f : 0xbf);
}
