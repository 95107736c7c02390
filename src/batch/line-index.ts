import { AppError } from '../base/errors.ts';

/**
 * `lines.index`: where each line of `lines.jsonl` begins, so that a unit reads its own lines only.
 * Layout, little-endian: magic `QLIX` (4 bytes) · version u32 · line total u32 · reserved u32 (0) ·
 * offsets f64 × (line total + 1), the last one being the end. Offsets stay below 2^53, so f64 holds them exactly.
 */
const magic = Buffer.from('QLIX');
const headerBytes = 16;
const offsetBytes = 8;

/** @param offsets start of every line, and the end of the last */
export function encodeLineIndex(offsets: readonly number[]): Uint8Array {
  const body = Buffer.alloc(headerBytes + offsets.length * offsetBytes);
  magic.copy(body);
  body.writeUInt32LE(1, 4);
  body.writeUInt32LE(offsets.length - 1, 8);
  for (const [place, offset] of offsets.entries()) body.writeDoubleLE(offset, headerBytes + place * offsetBytes);
  return body;
}

/** @throws `corrupt.version`, `corrupt.record` naming the key */
export function decodeLineIndex(bytes: Uint8Array, key: string): Float64Array {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (body.length < headerBytes || !body.subarray(0, 4).equals(magic)) {
    throw new AppError('corrupt.record', 'not a line index', { details: { key } });
  }
  const version = body.readUInt32LE(4);
  if (version !== 1) {
    throw new AppError('corrupt.version', `line index has version ${version}; this program knows 1`, {
      details: { key },
    });
  }
  const offsetTotal = body.readUInt32LE(8) + 1;
  if (body.length !== headerBytes + offsetTotal * offsetBytes) {
    throw new AppError('corrupt.record', `line index has ${body.length} bytes for ${offsetTotal} offsets`, {
      details: { key },
    });
  }
  return Float64Array.from({ length: offsetTotal }, (_, place) => body.readDoubleLE(headerBytes + place * offsetBytes));
}
