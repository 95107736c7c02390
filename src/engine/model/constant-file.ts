import { closeSync, openSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import type { ConstantSink } from './graph-builder.ts';
import type { FilePlace } from './onnx-proto.ts';

/** Where a mapped tensor starts: no kernel wants more, and the runtime allocates so. */
const alignment = 64;

/** The first place for a tensor in a file of so many bytes. */
export const placeBehind = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** Large constants of a graph, one behind the other in a file beside it, so that none stays in memory. */
export class ConstantFile implements ConstantSink {
  readonly #file: string;
  readonly #descriptor: number;
  #bytes = 0;

  /** Replaces what is at `path`. */
  constructor(path: string) {
    this.#file = basename(path);
    this.#descriptor = openSync(path, 'w');
  }

  write(bytes: Uint8Array): FilePlace {
    const offset = placeBehind(this.#bytes);
    let written = 0;
    while (written < bytes.length) {
      written += writeSync(this.#descriptor, bytes, written, bytes.length - written, offset + written);
    }
    this.#bytes = offset + bytes.length;
    return { file: this.#file, offset, length: bytes.length };
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
