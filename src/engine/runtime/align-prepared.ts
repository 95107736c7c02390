import { closeSync, openSync, readFileSync, readSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { AppError } from '../../base/errors.ts';
import { placeBehind } from '../model/constant-file.ts';
import { encodeStringEntry } from '../model/onnx-proto.ts';
import { mapField } from '../model/proto-reader.ts';

/** Numbers of the fields on the way to an initializer's place in ONNX's schema. */
const fields = {
  graph: 7,
  node: 1,
  attribute: 5,
  attributeGraph: 6,
  initializer: 5,
  name: 8,
  externalData: 13,
} as const;

/**
 * The runtime writes packed weights one behind the other, though where an array lies inside of one depends on the
 * remainder of its address (seen with MatMulNBits in 1.30: mapped as written, they give wrong sums or crash). This
 * moves every piece of the weight file to a multiple of 64 bytes and tells the model so. It also writes constants of
 * branches twice, first as they were read and then as they are packed, and refuses to read both: the first ones go.
 * @throws `bug.invariant` for a file that is not as the runtime writes it
 */
export function alignPrepared(modelPath: string, weightsPath: string): void {
  const alignedPath = `${weightsPath}.aligned`;
  const source = openSync(weightsPath, 'r');
  const target = openSync(alignedPath, 'w');
  try {
    const mover = new PieceMover(source, target);
    const model = mapField(readFileSync(modelPath), fields.graph, (graph) => moveGraph(graph, mover));
    writeFileSync(modelPath, model);
  } finally {
    closeSync(source);
    closeSync(target);
  }
  renameSync(alignedPath, weightsPath);
}

/** A graph and those in its branches, each with one constant of a name. */
function moveGraph(graph: Uint8Array, mover: PieceMover): Uint8Array {
  const left = new Map<string, number>();
  mapField(graph, fields.initializer, (tensor) => {
    const name = readText(tensor, fields.name);
    left.set(name, (left.get(name) ?? 0) + 1);
    return tensor;
  });
  const single = mapField(graph, fields.initializer, (tensor) => {
    const name = readText(tensor, fields.name);
    const behind = (left.get(name) ?? 0) - 1;
    left.set(name, behind);
    return behind > 0 ? null : moveTensor(tensor, mover);
  });
  return mapField(single, fields.node, (node) =>
    mapField(node, fields.attribute, (attribute) =>
      mapField(attribute, fields.attributeGraph, (branch) => moveGraph(branch, mover)),
    ),
  );
}

function moveTensor(tensor: Uint8Array, mover: PieceMover): Uint8Array {
  const entries = new Map<string, string>();
  mapField(tensor, fields.externalData, (entry) => {
    const [name, value] = readEntry(entry);
    entries.set(name, value);
    return entry;
  });
  return mapField(tensor, fields.externalData, (entry) => {
    const [name, value] = readEntry(entry);
    if (name === 'offset') {
      return encodeStringEntry(name, `${mover.move(Number(value), Number(entries.get('length')))}`);
    }
    if (!name.startsWith('prepacked_')) return entry;
    // key|offset;length;checksum, and again for each further buffer
    const [key = '', ...buffers] = value.split('|');
    const moved = buffers.map((buffer) => {
      const [offset, length, checksum] = buffer.split(';');
      return `${mover.move(Number(offset), Number(length))};${length};${checksum}`;
    });
    return encodeStringEntry(name, [key, ...moved].join('|'));
  });
}

const utf8 = new TextDecoder();

const readEntry = (entry: Uint8Array): readonly [name: string, value: string] => [
  readText(entry, 1),
  readText(entry, 2),
];

/** '' when it is not there. */
function readText(message: Uint8Array, field: number): string {
  let found = '';
  mapField(message, field, (text) => {
    found = utf8.decode(text);
    return text;
  });
  return found;
}

/** Copies pieces of one file to rounded places of another. */
class PieceMover {
  readonly #source: number;
  readonly #target: number;
  readonly #buffer = new Uint8Array(2 ** 20);
  #end = 0;

  constructor(source: number, target: number) {
    this.#source = source;
    this.#target = target;
  }

  /** @returns where it lies now */
  move(offset: number, length: number): number {
    const place = placeBehind(this.#end);
    this.#end = place + length;
    for (let done = 0; done < length; ) {
      const count = readSync(
        this.#source,
        this.#buffer,
        0,
        Math.min(this.#buffer.length, length - done),
        offset + done,
      );
      if (!(count > 0)) throw new AppError('bug.invariant', `prepared weights end before byte ${offset + length}`);
      done += writeSync(this.#target, this.#buffer, 0, count, place + done);
    }
    return place;
  }
}
