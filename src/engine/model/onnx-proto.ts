/**
 * Encodes the part of ONNX's protobuf schema that a graph of ours needs (onnx.proto, proto2).
 * A message is a list of byte pieces with their total length, so that weights are copied once, into the final buffer.
 */

export interface ProtoBytes {
  readonly byteLength: number;
  readonly pieces: readonly Uint8Array[];
}

const text = new TextEncoder();

const wireVarint = 0;
const wireBytes = 2;
const wireFixed32 = 5;

/** Base-128 groups, lowest first; negative numbers take ten bytes, as int64 does. */
function encodeVarint(value: number): Uint8Array {
  if (!Number.isSafeInteger(value)) throw new RangeError(`varint needs a safe integer, not ${value}`);
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function joinPieces(parts: readonly ProtoBytes[]): ProtoBytes {
  const pieces = parts.flatMap((part) => part.pieces);
  return { byteLength: parts.reduce((sum, part) => sum + part.byteLength, 0), pieces };
}

export function fromBytes(...pieces: readonly Uint8Array[]): ProtoBytes {
  return { byteLength: pieces.reduce((sum, piece) => sum + piece.byteLength, 0), pieces };
}

const key = (field: number, wire: number): Uint8Array => encodeVarint(field * 8 + wire);

const integerField = (field: number, value: number): ProtoBytes =>
  fromBytes(key(field, wireVarint), encodeVarint(value));

/** A length-delimited field. */
export const taggedBytes = (field: number, value: Uint8Array): ProtoBytes =>
  fromBytes(key(field, wireBytes), encodeVarint(value.byteLength), value);

const stringField = (field: number, value: string): ProtoBytes => taggedBytes(field, text.encode(value));

function floatField(field: number, value: number): ProtoBytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return fromBytes(key(field, wireFixed32), bytes);
}

function messageField(field: number, message: ProtoBytes): ProtoBytes {
  return joinPieces([fromBytes(key(field, wireBytes), encodeVarint(message.byteLength)), message]);
}

/** TensorProto.DataType numbers of the types we write. */
export const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;

export type ElementType = keyof typeof elementTypes;

export interface TensorValue {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Little-endian, row-major; or where they lie in a file beside the model. */
  readonly bytes: Uint8Array | FilePlace;
}

export interface FilePlace {
  /** Relative to the model's file. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export function encodeTensor(name: string, tensor: TensorValue): ProtoBytes {
  return joinPieces([
    ...tensor.dims.map((dim) => integerField(1, dim)),
    integerField(2, elementTypes[tensor.type]),
    stringField(8, name),
    ...encodeContent(tensor.bytes),
  ]);
}

/** StringStringEntryProto. */
export function encodeStringEntry(name: string, value: string): Uint8Array {
  return concatBytes(joinPieces([stringField(1, name), stringField(2, value)]));
}

function encodeContent(bytes: TensorValue['bytes']): readonly ProtoBytes[] {
  if (bytes instanceof Uint8Array) return [taggedBytes(9, bytes)];
  const entry = (name: string, value: string): ProtoBytes => taggedBytes(13, encodeStringEntry(name, value));
  const isExternal = integerField(14, 1);
  const { file, offset, length } = bytes;
  return [entry('location', file), entry('offset', `${offset}`), entry('length', `${length}`), isExternal];
}

export type AttributeValue =
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: TensorValue }
  | { readonly type: 'graph'; readonly value: ProtoBytes }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] };

/** AttributeProto: field of the value, number of AttributeProto.AttributeType. */
function encodeAttributeValue(attribute: AttributeValue): readonly [typeNumber: number, body: ProtoBytes] {
  switch (attribute.type) {
    case 'float':
      return [1, floatField(2, attribute.value)];
    case 'int':
      return [2, integerField(3, attribute.value)];
    case 'string':
      return [3, stringField(4, attribute.value)];
    case 'tensor':
      return [4, messageField(5, encodeTensor('', attribute.value))];
    case 'graph':
      return [5, messageField(6, attribute.value)];
    case 'floats':
      return [6, joinPieces(attribute.value.map((value) => floatField(7, value)))];
    case 'ints':
      return [7, joinPieces(attribute.value.map((value) => integerField(8, value)))];
    case 'strings':
      return [8, joinPieces(attribute.value.map((value) => stringField(9, value)))];
  }
}

function encodeAttribute(name: string, attribute: AttributeValue): ProtoBytes {
  const [typeNumber, body] = encodeAttributeValue(attribute);
  return joinPieces([stringField(1, name), body, integerField(20, typeNumber)]);
}

export interface NodeValue {
  readonly name: string;
  readonly operator: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

function encodeNode(node: NodeValue): ProtoBytes {
  return joinPieces([
    ...node.inputs.map((name) => stringField(1, name)),
    ...node.outputs.map((name) => stringField(2, name)),
    stringField(3, node.name),
    stringField(4, node.operator),
    ...Object.entries(node.attributes).map(([name, value]) => messageField(5, encodeAttribute(name, value))),
    stringField(7, node.domain),
  ]);
}

/** A graph input or output; a dimension is a number or the name of a free one. */
export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

function encodeValueInfo(value: ValueInfo): ProtoBytes {
  const dims = value.dims.map((dim) =>
    messageField(1, typeof dim === 'number' ? integerField(1, dim) : stringField(2, dim)),
  );
  const tensorType = joinPieces([integerField(1, elementTypes[value.type]), messageField(2, joinPieces(dims))]);
  return joinPieces([stringField(1, value.name), messageField(2, messageField(1, tensorType))]);
}

export interface GraphValue {
  readonly name: string;
  readonly nodes: readonly NodeValue[];
  readonly initializers: ReadonlyMap<string, TensorValue>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Values between whose shape cannot be derived. */
  readonly described: readonly ValueInfo[];
}

export function encodeGraph(graph: GraphValue): ProtoBytes {
  return joinPieces([
    ...graph.nodes.map((node) => messageField(1, encodeNode(node))),
    stringField(2, graph.name),
    ...[...graph.initializers].map(([name, tensor]) => messageField(5, encodeTensor(name, tensor))),
    ...graph.inputs.map((input) => messageField(11, encodeValueInfo(input))),
    ...graph.outputs.map((output) => messageField(12, encodeValueInfo(output))),
    ...graph.described.map((value) => messageField(13, encodeValueInfo(value))),
  ]);
}

export interface ModelValue {
  readonly irVersion: number;
  readonly producer: string;
  /** Operator set version by domain; '' is ai.onnx. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly graph: ProtoBytes;
}

export function encodeModel(model: ModelValue): ProtoBytes {
  return joinPieces([
    integerField(1, model.irVersion),
    stringField(2, model.producer),
    messageField(7, model.graph),
    ...Object.entries(model.opsets).map(([domain, version]) =>
      messageField(8, joinPieces([stringField(1, domain), integerField(2, version)])),
    ),
  ]);
}

/** The pieces as one buffer. */
export function concatBytes(message: ProtoBytes): Uint8Array {
  const bytes = new Uint8Array(message.byteLength);
  let offset = 0;
  for (const piece of message.pieces) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
  return bytes;
}
