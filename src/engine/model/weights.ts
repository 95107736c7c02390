import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { AppError } from '../../base/errors.ts';
import { sha256Hex } from '../../base/hash.ts';
import { invariant } from '../../base/invariant.ts';
import { type BlockMatrix, blockColumns, blocksOfPackedInt4, quantizeBlocks } from './block-matrix.ts';
import { dequantizeInt4, widenBfloat16, widenFloat16 } from './element-types.ts';
import type { QuantizationConfig } from './model-config.ts';
import type { TensorEntry } from './safetensors.ts';

/** A tensor and the file that holds it. */
export interface LocatedTensor extends TensorEntry {
  readonly file: string;
}

/**
 * Reads tensors of a checkpoint as float32. Reads block: weights are read once, while the engine process starts.
 * All throw `input.model-folder` for a missing tensor or a wrong shape and `corrupt.safetensors` for a short file.
 */
export interface WeightSource {
  /** Paths of the files that hold tensors. */
  files(): readonly string[];
  has(name: string): boolean;
  /** Stored parameters of a matrix, whatever its form; shape is checked. */
  checkVector(name: string, length: number): void;
  checkMatrix(name: string, rows: number, columns: number): void;
  vector(name: string, length: number): Float32Array;
  /** `<name>.weight`, or `<name>.weight_packed` with its scales, dequantized: [rows, columns]. */
  matrix(name: string, rows: number, columns: number): Float32Array;
  /** The same in blocks of 32 columns: stored INT4 as it is, where its groups allow it; all else rounded to INT8. */
  blocks(name: string, rows: number, columns: number): BlockMatrix;
  /**
   * sha256 over names and stored bytes of every tensor that was read, whatever the order. Ask when all are read; it can
   * still be asked after `close`.
   */
  contentDigest(): string;
  close(): void;
}

const floatTypes: readonly string[] = ['BF16', 'F16', 'F32'];

export class FileWeights implements WeightSource {
  readonly #tensors: ReadonlyMap<string, LocatedTensor>;
  readonly #quantization: QuantizationConfig | null;
  readonly #descriptors = new Map<string, number>();
  /** sha256 of each tensor read so far. */
  readonly #digests = new Map<string, string>();

  constructor(tensors: ReadonlyMap<string, LocatedTensor>, quantization: QuantizationConfig | null) {
    this.#tensors = tensors;
    this.#quantization = quantization;
  }

  files(): readonly string[] {
    return [...new Set([...this.#tensors.values()].map(({ file }) => file))].sort();
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  checkVector(name: string, length: number): void {
    this.#expect(name, [length], floatTypes);
  }

  checkMatrix(name: string, rows: number, columns: number): void {
    if (this.has(`${name}.weight`)) {
      this.#expect(`${name}.weight`, [rows, columns], floatTypes);
      return;
    }
    const packed = this.#tensors.get(`${name}.weight_packed`);
    if (packed === undefined) throw missing(`${name}.weight`);
    const groups = columns / this.#groupColumns(name, columns);
    this.#expect(`${name}.weight_packed`, [rows, Math.ceil(columns / 8)], ['I32']);
    this.#expect(`${name}.weight_scale`, [rows, groups], floatTypes);
    if (this.has(`${name}.weight_shape`)) this.#checkShapeTensor(`${name}.weight_shape`, rows, columns);
  }

  vector(name: string, length: number): Float32Array {
    this.checkVector(name, length);
    return this.#floats(name);
  }

  matrix(name: string, rows: number, columns: number): Float32Array {
    this.checkMatrix(name, rows, columns);
    if (this.has(`${name}.weight`)) return this.#floats(`${name}.weight`);
    const packed = new Int32Array(this.#bytes(`${name}.weight_packed`));
    const scales = this.#floats(`${name}.weight_scale`);
    return dequantizeInt4(packed, scales, rows, columns, this.#groupColumns(name, columns));
  }

  blocks(name: string, rows: number, columns: number): BlockMatrix {
    if (this.#tensors.has(`${name}.weight_packed`) && !this.has(`${name}.weight`)) {
      const groupColumns = this.#groupColumns(name, columns);
      if (groupColumns % blockColumns === 0) {
        this.checkMatrix(name, rows, columns);
        const packed = new Uint8Array(this.#bytes(`${name}.weight_packed`));
        const shape = { rows, columns, groupColumns };
        return blocksOfPackedInt4(packed, this.#floats(`${name}.weight_scale`), shape);
      }
    }
    return quantizeBlocks({ values: this.matrix(name, rows, columns), rows, columns });
  }

  contentDigest(): string {
    invariant(this.#digests.size > 0, 'weights are read before their digest is asked for');
    const lines = [...this.#digests].map(([name, digest]) => `${digest} ${name}\n`);
    return sha256Hex(lines.sort().join(''));
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
  }

  #groupColumns(name: string, columns: number): number {
    if (this.#quantization === null) {
      throw new AppError('input.model-folder', `tensor ${name}.weight_packed: config.json has no quantization_config`);
    }
    const groupColumns = this.#quantization.groupColumns ?? columns;
    if (columns % groupColumns !== 0) {
      const what = `${columns} columns are no multiple of group_size ${groupColumns}`;
      throw new AppError('input.model-folder', `tensor ${name}.weight_packed: ${what}`);
    }
    return groupColumns;
  }

  #checkShapeTensor(name: string, rows: number, columns: number): void {
    const entry = this.#expect(name, [2], ['I32', 'I64']);
    const bytes = this.#bytes(name);
    const met =
      entry.dtype === 'I32' ? Array.from(new Int32Array(bytes)) : Array.from(new BigInt64Array(bytes), Number);
    if (met[0] !== rows || met[1] !== columns) {
      throw new AppError('input.model-folder', `tensor ${name} says ${met.join(' x ')}, wanted ${rows} x ${columns}`);
    }
  }

  #get(name: string): LocatedTensor {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw missing(name);
    return entry;
  }

  #expect(name: string, shape: readonly number[], dtypes: readonly string[]): LocatedTensor {
    const entry = this.#get(name);
    const { file } = entry;
    if (entry.shape.length !== shape.length || entry.shape.some((dim, axis) => dim !== shape[axis])) {
      const what = `shape ${JSON.stringify(entry.shape)}, wanted ${JSON.stringify(shape)}`;
      throw new AppError('input.model-folder', `tensor ${name} has ${what}`, { details: { tensor: name, file } });
    }
    if (!dtypes.includes(entry.dtype)) {
      const what = `tensor ${name} has dtype ${entry.dtype}, allowed: ${dtypes.join(', ')}`;
      throw new AppError('input.model-folder', what, { details: { tensor: name, file } });
    }
    return entry;
  }

  #floats(name: string): Float32Array {
    const entry = this.#get(name);
    const bytes = this.#bytes(name);
    switch (entry.dtype) {
      case 'F32':
        return new Float32Array(bytes);
      case 'BF16':
        return widenBfloat16(new Uint16Array(bytes));
      case 'F16':
        return widenFloat16(new Uint16Array(bytes));
      default:
        throw new AppError('bug.invariant', `tensor ${name} of dtype ${entry.dtype} read as numbers`);
    }
  }

  #bytes(name: string): ArrayBuffer {
    const entry = this.#get(name);
    const bytes = new Uint8Array(entry.end - entry.start);
    const descriptor = this.#descriptor(entry.file);
    let offset = 0;
    while (offset < bytes.length) {
      const piece = Math.min(bytes.length - offset, 2 ** 30);
      const count = readSync(descriptor, bytes, offset, piece, entry.start + offset);
      if (count === 0) {
        const what = `the file ends at byte ${entry.start + offset}, a tensor ends at ${entry.end}`;
        throw new AppError('corrupt.safetensors', `${entry.file}: ${what}`, { details: { file: entry.file } });
      }
      offset += count;
    }
    if (!this.#digests.has(name)) this.#digests.set(name, createHash('sha256').update(bytes).digest('hex'));
    invariant(bytes.byteOffset === 0, 'a tensor is read into its own buffer');
    return bytes.buffer;
  }

  #descriptor(file: string): number {
    const open = this.#descriptors.get(file);
    if (open !== undefined) return open;
    const descriptor = openWeightFile(file);
    this.#descriptors.set(file, descriptor);
    return descriptor;
  }
}

function openWeightFile(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    throw new AppError('input.model-folder', `${file} cannot be read`, { details: { file }, cause: error });
  }
}

function missing(name: string): AppError {
  return new AppError('input.model-folder', `tensor ${name} is missing`, { details: { tensor: name } });
}
