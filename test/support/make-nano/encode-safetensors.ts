export type Dtype = 'F32' | 'I32' | 'BF16';

export interface Tensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian values, row-major. */
  readonly bytes: Uint8Array;
}

/** Wide elements first, so that each tensor starts at a multiple of its element; within a type by name. */
const dtypeOrder: readonly Dtype[] = ['F32', 'I32', 'BF16'];

/** A safetensors file: u64 header length, JSON header padded to 8 bytes with spaces, tensors without gaps. */
export function encodeSafetensors(tensors: readonly Tensor[]): Uint8Array {
  const sorted = [...tensors].sort(
    (a, b) => dtypeOrder.indexOf(a.dtype) - dtypeOrder.indexOf(b.dtype) || (a.name < b.name ? -1 : 1),
  );
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const { name, dtype, shape, bytes } of sorted) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.byteLength] };
    end += bytes.byteLength;
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8, ' '), 'utf8');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json, ...sorted.map(({ bytes }) => bytes)]);
}

/** float32 → bfloat16 bytes, rounded to nearest, ties to even. */
export function encodeBf16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const words = new Uint16Array(values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index] ?? 0;
    words[index] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return littleEndian(words);
}

/** What a bfloat16 holds of a value. */
export function roundToBf16(value: number): number {
  const values = new Float32Array([value]);
  const words = new Uint16Array(encodeBf16(values).slice().buffer);
  return new Float32Array(new Uint32Array([(words[0] ?? 0) << 16]).buffer)[0] ?? 0;
}

export function littleEndian(values: Uint16Array | Int32Array | Uint32Array | Float32Array): Uint8Array {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const isBigEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;
  if (!isBigEndian) return bytes;
  return values.BYTES_PER_ELEMENT === 2 ? Buffer.from(bytes).swap16() : Buffer.from(bytes).swap32();
}
