/**
 * The head of a GGUF file, version 3, little-endian:
 * magic, version u32, tensor total u64, entry total u64, entries, tensor infos, zeros up to `alignment`; then the
 * tensors, each at a multiple of `alignment` behind that point.
 * Text is a u64 length and its bytes; an entry is key, type u32, value; a list is element type u32, total u64, elements.
 */
export const alignment = 32;

const version = 3;

/** Numbers of the value types. */
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, list: 9 } as const;

export type GgufValue =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s'; readonly value: readonly number[] };

export type GgufType = 'F32' | 'Q4_0' | 'Q8_0';

interface ElementType {
  readonly number: number;
  readonly blockValues: number;
  readonly blockBytes: number;
}

const elementTypes: Readonly<Record<GgufType, ElementType>> = {
  F32: { number: 0, blockValues: 1, blockBytes: 4 },
  // a float16 scale and 32 codes of 4 bits
  Q4_0: { number: 2, blockValues: 32, blockBytes: 18 },
  // a float16 scale and 32 codes of 8 bits
  Q8_0: { number: 8, blockValues: 32, blockBytes: 34 },
};

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Row-major, the last one is contiguous; the file has them the other way round. */
  readonly shape: readonly number[];
}

/** Bytes of a tensor's values. @throws RangeError when a row is no whole number of blocks */
export function tensorBytes({ name, type, shape }: GgufTensor): number {
  const { blockValues, blockBytes } = elementTypes[type];
  const columns = shape.at(-1) ?? 0;
  if (columns % blockValues !== 0) {
    throw new RangeError(`${name}: rows of ${columns} values, ${type} needs a multiple of ${blockValues}`);
  }
  return (shape.reduce((product, dim) => product * dim, 1) / blockValues) * blockBytes;
}

/** Zeros that follow so many bytes up to the next tensor. */
export function paddingBehind(bytes: number): number {
  return (alignment - (bytes % alignment)) % alignment;
}

/** Everything before the first tensor's values. */
export function encodeGgufHeader(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('GGUF', 'latin1'), uint32(version), uint64(tensors.length)];
  parts.push(uint64(metadata.size));
  for (const [key, value] of metadata) parts.push(text(key), ...encodeValue(value));
  let offset = 0;
  for (const tensor of tensors) {
    const dims = tensor.shape.toReversed();
    parts.push(text(tensor.name), uint32(dims.length), ...dims.map(uint64));
    parts.push(uint32(elementTypes[tensor.type].number), uint64(offset));
    const bytes = tensorBytes(tensor);
    offset += bytes + paddingBehind(bytes);
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, new Uint8Array(paddingBehind(head.byteLength))]);
}

function encodeValue(entry: GgufValue): readonly Uint8Array[] {
  switch (entry.type) {
    case 'uint32':
      return [uint32(valueTypes.uint32), uint32(entry.value)];
    case 'float32':
      return [uint32(valueTypes.float32), float32(entry.value)];
    case 'bool':
      return [uint32(valueTypes.bool), Uint8Array.of(entry.value ? 1 : 0)];
    case 'string':
      return [uint32(valueTypes.string), text(entry.value)];
    case 'strings':
      return [...listHead(valueTypes.string, entry.value.length), ...entry.value.map(text)];
    case 'int32s':
      return [...listHead(valueTypes.int32, entry.value.length), ...entry.value.map(int32)];
  }
}

function listHead(elementNumber: number, total: number): readonly Uint8Array[] {
  return [uint32(valueTypes.list), uint32(elementNumber), uint64(total)];
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.byteLength), bytes]);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function int32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function uint64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
