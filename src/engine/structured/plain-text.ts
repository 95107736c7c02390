import { type ByteRanges, splitUtf8 } from './fragments.ts';

/** Plain characters are those that stand for themselves in a JSON string: all but control characters, `"` and `\`. */
export const plainEncodings: readonly ByteRanges[] = [
  ...splitUtf8([0x20, 0x21]),
  ...splitUtf8([0x23, 0x5b]),
  ...splitUtf8([0x5d, 0x10ffff]),
];

/** How far a text has come: characters begun, the encodings that may be of the last one, and how many bytes of it. */
export interface PlainText {
  readonly characters: number;
  readonly encodings: readonly ByteRanges[];
  readonly bytes: number;
}

export const noText: PlainText = { characters: 0, encodings: plainEncodings, bytes: 0 };

/** Null: the byte does not go on with plain text. */
export function appendByte({ characters, encodings, bytes }: PlainText, byte: number): PlainText | null {
  const fitting = encodings.filter((ranges) => {
    const [low, high] = ranges[bytes] ?? [1, 0];
    return low <= byte && byte <= high;
  });
  if (fitting.length === 0) return null;
  const begun = bytes === 0 ? characters + 1 : characters;
  const isWhole = fitting.some((ranges) => ranges.length === bytes + 1);
  return isWhole
    ? { characters: begun, encodings: plainEncodings, bytes: 0 }
    : { characters: begun, encodings: fitting, bytes: bytes + 1 };
}
