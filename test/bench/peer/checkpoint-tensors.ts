import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { widenBfloat16 } from '../../../src/engine/model/element-types.ts';
import {
  decodeHeaderLength,
  decodeSafetensorsHeader,
  lengthBytes,
  type TensorEntry,
} from '../../../src/engine/model/safetensors.ts';

interface PlacedTensor extends TensorEntry {
  readonly file: FileHandle;
}

/** Tensors of a checkpoint folder as they are stored, one at a time: the peer gets the very codes, not their values. */
export class CheckpointTensors {
  readonly #files: readonly FileHandle[];
  readonly #tensors: ReadonlyMap<string, PlacedTensor>;

  private constructor(files: readonly FileHandle[], tensors: ReadonlyMap<string, PlacedTensor>) {
    this.#files = files;
    this.#tensors = tensors;
  }

  static async open(folder: string): Promise<CheckpointTensors> {
    const index = JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8')) as {
      weight_map: Record<string, string>;
    };
    const files: FileHandle[] = [];
    const tensors = new Map<string, PlacedTensor>();
    for (const name of new Set(Object.values(index.weight_map))) {
      const file = await open(join(folder, name), 'r');
      files.push(file);
      const fileBytes = (await file.stat()).size;
      const headerBytes = decodeHeaderLength(await readBytes(file, 0, lengthBytes), fileBytes, name);
      const header = decodeSafetensorsHeader(await readBytes(file, lengthBytes, headerBytes), fileBytes, name);
      for (const [tensor, entry] of header.tensors) tensors.set(tensor, { ...entry, file });
    }
    return new CheckpointTensors(files, tensors);
  }

  async bytes(name: string): Promise<Uint8Array> {
    const { file, start, end } = this.#get(name);
    return readBytes(file, start, end - start);
  }

  async floats(name: string): Promise<Float32Array> {
    const { dtype } = this.#get(name);
    const { buffer } = await this.bytes(name);
    if (dtype === 'F32') return new Float32Array(buffer);
    if (dtype === 'BF16') return widenBfloat16(new Uint16Array(buffer));
    throw new TypeError(`tensor ${name} is ${dtype}, allowed: F32, BF16`);
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }

  #get(name: string): PlacedTensor {
    const entry = this.#tensors.get(name);
    if (entry === undefined) throw new Error(`the checkpoint has no tensor ${name}`);
    return entry;
  }
}

/** Into a buffer of its own. */
async function readBytes(file: FileHandle, start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await file.read(bytes, 0, length, start);
  if (bytesRead !== length) throw new Error(`a tensor at byte ${start} has ${bytesRead} bytes of ${length}`);
  return bytes;
}
