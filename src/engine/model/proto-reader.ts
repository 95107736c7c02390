import { AppError } from '../../base/errors.ts';
import { concatBytes, fromBytes, taggedBytes } from './onnx-proto.ts';

/**
 * A protobuf message with `map` applied to every occurrence of one length-delimited field, null leaving it out; all
 * else stays byte for byte.
 * @throws `bug.invariant` when it is no message
 */
export function mapField(
  message: Uint8Array,
  field: number,
  map: (value: Uint8Array) => Uint8Array | null,
): Uint8Array {
  const pieces: Uint8Array[] = [];
  let kept = 0;
  let at = 0;
  while (at < message.length) {
    const start = at;
    const [tag, behindTag] = readVarint(message, at);
    const wire = tag & 7;
    if (wire === 2) {
      const [length, begin] = readVarint(message, behindTag);
      at = begin + length;
      if (tag >>> 3 === field) {
        const mapped = map(message.subarray(begin, at));
        pieces.push(message.subarray(kept, start), ...(mapped === null ? [] : taggedBytes(field, mapped).pieces));
        kept = at;
      }
    } else if (wire === 0) [, at] = readVarint(message, behindTag);
    else if (wire === 5) at = behindTag + 4;
    else if (wire === 1) at = behindTag + 8;
    else throw broken(start);
    if (at > message.length) throw broken(start);
  }
  pieces.push(message.subarray(kept));
  return concatBytes(fromBytes(...pieces));
}

function readVarint(message: Uint8Array, start: number): readonly [value: number, end: number] {
  let value = 0;
  for (let at = start, scale = 1; at < message.length && at < start + 10; at++, scale *= 128) {
    const byte = message[at]!;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at + 1];
  }
  throw broken(start);
}

const broken = (at: number): AppError => new AppError('bug.invariant', `no protobuf field at byte ${at}`);
