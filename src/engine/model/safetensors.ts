import { AppError, type ErrorDetails } from '../../base/errors.ts';

/**
 * Header of a safetensors file: u64 little-endian header length, JSON `{name: {dtype, shape, data_offsets}}`, data.
 * The data must be covered by the tensors without holes or overlaps, as the format demands.
 */

const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

export type TensorDtype = keyof typeof dtypeBytes;

export interface TensorEntry {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Half-open byte range from the start of the file. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly headerBytes: number;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** Bytes before the header's JSON. */
export const lengthBytes = 8;
/** The limit of the reference implementation. */
export const maxHeaderBytes = 100_000_000;

function corrupt(file: string, what: string, details: ErrorDetails): AppError {
  return new AppError('corrupt.safetensors', `${file}: ${what}`, { details: { file, ...details } });
}

/**
 * The length of the JSON header, from the first eight bytes of the file.
 * Throws `corrupt.safetensors`.
 */
export function decodeHeaderLength(head: Uint8Array, fileBytes: number, file: string): number {
  if (fileBytes < lengthBytes || head.byteLength < lengthBytes) {
    throw corrupt(file, `truncated: ${fileBytes} bytes, a safetensors file has at least ${lengthBytes}`, { fileBytes });
  }
  const declared = new DataView(head.buffer, head.byteOffset, lengthBytes).getBigUint64(0, true);
  if (declared > BigInt(maxHeaderBytes)) {
    const what = `header length ${declared} exceeds the limit of ${maxHeaderBytes} bytes`;
    throw corrupt(file, what, { headerBytes: declared.toString(), maxHeaderBytes });
  }
  const headerBytes = Number(declared);
  if (lengthBytes + headerBytes > fileBytes) {
    const what = `truncated: the header ends at byte ${lengthBytes + headerBytes}, the file has ${fileBytes}`;
    throw corrupt(file, what, { headerBytes, fileBytes });
  }
  return headerBytes;
}

/**
 * @param json the header's bytes, without the length
 * @param fileBytes size of the whole file, to find truncation before anything is read
 * Throws `corrupt.safetensors` naming the file, the tensor and the numbers.
 */
export function decodeSafetensorsHeader(json: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const dataStart = lengthBytes + json.byteLength;
  const dataBytes = fileBytes - dataStart;
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(parseHeaderJson(json, file))) {
    if (name === '__metadata__') continue;
    tensors.set(name, decodeEntry(name, value, dataStart, dataBytes, file));
  }
  checkCoverage(tensors, dataStart, fileBytes, file);
  return { headerBytes: json.byteLength, tensors };
}

function parseHeaderJson(json: Uint8Array, file: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw new AppError('corrupt.safetensors', `${file}: the header is not JSON`, { details: { file }, cause: error });
  }
  if (!isRecord(value)) throw corrupt(file, 'the header is not a JSON object', {});
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCountList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isDtype(value: unknown): value is TensorDtype {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
}

function decodeEntry(name: string, value: unknown, dataStart: number, dataBytes: number, file: string): TensorEntry {
  const fail = (what: string, details: ErrorDetails = {}): AppError =>
    corrupt(file, `tensor ${name}: ${what}`, { tensor: name, ...details });
  if (!isRecord(value)) throw fail('the header entry is not an object');
  const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (!isDtype(dtype)) throw fail(`dtype ${JSON.stringify(dtype)} is none of ${Object.keys(dtypeBytes).join(', ')}`);
  if (!isCountList(shape)) throw fail(`shape ${JSON.stringify(shape)} is not a list of whole numbers`);
  if (!isCountList(offsets) || offsets.length !== 2) {
    throw fail(`data_offsets ${JSON.stringify(offsets)} is not a pair of whole numbers`);
  }
  const [begin = 0, end = 0] = offsets;
  if (begin > end) throw fail(`data_offsets begin at ${begin}, behind their end ${end}`, { begin, end });
  if (end > dataBytes) {
    throw fail(`truncated: the data ends at ${end}, the file holds ${dataBytes} data bytes`, { end, dataBytes });
  }
  const wantedBytes = shape.reduce((product, dim) => product * dim, dtypeBytes[dtype]);
  if (wantedBytes !== end - begin) {
    const what = `${dtype} ${JSON.stringify(shape)} takes ${wantedBytes} bytes, data_offsets give ${end - begin}`;
    throw fail(what, { wantedBytes, givenBytes: end - begin });
  }
  return { dtype, shape, start: dataStart + begin, end: dataStart + end };
}

function checkCoverage(tensors: ReadonlyMap<string, TensorEntry>, dataStart: number, fileBytes: number, file: string) {
  const ordered = [...tensors].sort(([, left], [, right]) => left.start - right.start || left.end - right.end);
  let covered = dataStart;
  let previous = '';
  for (const [name, { start, end }] of ordered) {
    const begin = start - dataStart;
    if (start < covered) {
      const what = `tensor ${name} begins at ${begin}, inside tensor ${previous} that ends at ${covered - dataStart}`;
      throw corrupt(file, what, { tensor: name, begin, other: previous });
    }
    if (start > covered) {
      const what = `tensor ${name} begins at ${begin}, leaving a hole from ${covered - dataStart}`;
      throw corrupt(file, what, { tensor: name, begin });
    }
    covered = end;
    previous = name;
  }
  if (covered < fileBytes) {
    const what = `${fileBytes - covered} bytes behind the last tensor belong to none`;
    throw corrupt(file, what, { extraBytes: fileBytes - covered });
  }
}
