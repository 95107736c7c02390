/**
 * The printable character that stands for each byte in a byte-level vocabulary (GPT-2): printable Latin-1 stands for
 * itself, the other 68 bytes take the code points from U+0100 on in order.
 */
export const byteCharacters: readonly string[] = buildAlphabet();

const byteOf: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]));

function buildAlphabet(): readonly string[] {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters.push(String.fromCharCode(printable ? byte : next++));
  }
  return Object.freeze(characters);
}

/** Undefined when a character stands for no byte. */
export function decodeByteCharacters(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const byte = byteOf.get(text.charAt(index));
    if (byte === undefined) return undefined;
    bytes[index] = byte;
  }
  return bytes;
}
