import type { Fragment, Rule } from './network.ts';

/** Inclusive range of code points. */
export type CodeRange = readonly [low: number, high: number];

export const empty: Fragment = (network, from, to) => network.addEmpty(from, to);

/** Matches nothing at all. */
export const never: Fragment = () => {};

export function call(rule: Rule): Fragment {
  return (network, from, to) => network.addCall(from, rule, to);
}

/** The UTF-8 bytes of a text, one after the other. */
export function text(content: string): Fragment {
  return (network, from, to) => {
    const bytes = Buffer.from(content, 'utf8');
    let at = from;
    for (const [index, byte] of bytes.entries()) {
      const next = index === bytes.length - 1 ? to : network.addState();
      network.addBytes(at, byte, byte, next);
      at = next;
    }
    if (bytes.length === 0) network.addEmpty(from, to);
  };
}

export function sequence(...parts: readonly Fragment[]): Fragment {
  return (network, from, to) => {
    let at = from;
    for (const [index, part] of parts.entries()) {
      const next = index === parts.length - 1 ? to : network.addState();
      part(network, at, next);
      at = next;
    }
    if (parts.length === 0) network.addEmpty(from, to);
  };
}

export function choice(options: readonly Fragment[]): Fragment {
  return (network, from, to) => {
    for (const option of options) {
      // a state of its own: an option that loops at its first state must not catch the others
      const start = network.addState();
      network.addEmpty(from, start);
      option(network, start, to);
    }
  };
}

/** @param max null: any number. Every repetition is a copy, so a long part is better called as a rule. */
export function repeat(part: Fragment, min: number, max: number | null): Fragment {
  return (network, from, to) => {
    const copies = max ?? min;
    const bases: number[] = [];
    let at = from;
    for (let count = 0; count < copies; count++) {
      const next = network.addState();
      bases.push(next);
      if (count >= min) network.addEmpty(at, to);
      part(network, at, next);
      at = next;
    }
    const stride = (bases[1] ?? 0) - (bases[0] ?? 0);
    const end = network.states.length;
    const areAlike = bases.every((base, copy) => (bases[copy + 1] ?? end) - base === stride);
    if (copies > 1 && areAlike) {
      network.addChain({ from, base: bases[0] ?? 0, stride, copies, min, isBounded: max !== null });
    }
    if (max !== null) return network.addEmpty(at, to);
    const loop = network.addState();
    network.addEmpty(at, loop);
    const again = network.addState();
    part(network, loop, again);
    network.addEmpty(again, loop);
    network.addEmpty(loop, to);
  };
}

export function optional(part: Fragment): Fragment {
  return repeat(part, 0, 1);
}

/** One character of the ranges as UTF-8; surrogates have no encoding and are left out. */
export function characters(ranges: readonly CodeRange[]): Fragment {
  const sequences = ranges.flatMap(splitUtf8);
  return (network, from, to) => {
    for (const bytes of sequences) {
      let at = from;
      for (const [index, [low, high]] of bytes.entries()) {
        const next = index === bytes.length - 1 ? to : network.addState();
        network.addBytes(at, low, high, next);
        at = next;
      }
    }
  };
}

/** Of each byte of an encoding in turn, first and last value. */
export type ByteRanges = readonly (readonly [low: number, high: number])[];

/** Ranges of code points whose encodings have one length, in order; the surrogates lie between the third and fourth. */
const lengthRanges: readonly CodeRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff],
];

/** All encodings of the characters of a range, and nothing else. */
export function splitUtf8([low, high]: CodeRange): readonly ByteRanges[] {
  return lengthRanges.flatMap(([start, end]) => {
    const [first, last] = [Math.max(low, start), Math.min(high, end)];
    return first <= last ? splitBytes(encodeCode(first), encodeCode(last)) : [];
  });
}

function encodeCode(code: number): readonly number[] {
  return [...Buffer.from(String.fromCodePoint(code), 'utf8')];
}

/** Byte sequences of one length between `low` and `high` → products of byte ranges. Later bytes are 0x80–0xbf. */
function splitBytes(low: readonly number[], high: readonly number[]): readonly ByteRanges[] {
  const [lowHead = 0, ...lowTail] = low;
  const [highHead = 0, ...highTail] = high;
  if (lowTail.length === 0) return [[[lowHead, highHead]]];
  const lowest = lowTail.map(() => 0x80);
  const highest = lowTail.map(() => 0xbf);
  const prefix = (from: number, to: number, tails: readonly ByteRanges[]): readonly ByteRanges[] =>
    tails.map((tail) => [[from, to], ...tail]);
  if (lowHead === highHead) return prefix(lowHead, highHead, splitBytes(lowTail, highTail));
  const isWholeLow = lowTail.every((byte) => byte === 0x80);
  const isWholeHigh = highTail.every((byte) => byte === 0xbf);
  const [first, last] = [isWholeLow ? lowHead : lowHead + 1, isWholeHigh ? highHead : highHead - 1];
  return [
    ...(isWholeLow ? [] : prefix(lowHead, lowHead, splitBytes(lowTail, highest))),
    ...(first <= last ? prefix(first, last, splitBytes(lowest, highest)) : []),
    ...(isWholeHigh ? [] : prefix(highHead, highHead, splitBytes(lowest, highTail))),
  ];
}
