import {
  type AttributeValue,
  concatBytes,
  encodeGraph,
  encodeModel,
  type FilePlace,
  type NodeValue,
  type ProtoBytes,
  type TensorValue,
  type ValueInfo,
} from './onnx-proto.ts';

/** Name of a value in a graph. */
export type ValueName = string;

type Attributes = Readonly<Record<string, AttributeValue>>;

/** com.microsoft, ONNX Runtime's own operators. */
export const microsoftDomain = 'com.microsoft';
const opsets = { '': 24, [microsoftDomain]: 1 };
const irVersion = 11;

export const intAttribute = (value: number): AttributeValue => ({ type: 'int', value });
export const intsAttribute = (value: readonly number[]): AttributeValue => ({ type: 'ints', value });
export const floatAttribute = (value: number): AttributeValue => ({ type: 'float', value });

/** Takes large constants out of the graph: a model file cannot hold 2 GiB, and need not be in memory to be written. */
export interface ConstantSink {
  write(bytes: Uint8Array): FilePlace;
}

/** What is smaller stays in the graph. */
const minFileBytes = 1024;

/**
 * Collects nodes and constants of one graph. Every operator call returns the name of its result.
 * A branch is the body of an `If`: it sees all values of its parent, and its constants lie in the graph around it.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #parent: GraphBuilder | null;
  readonly #sink: ConstantSink | null;
  readonly #nodes: NodeValue[] = [];
  readonly #initializers = new Map<string, TensorValue>();
  readonly #smallConstants = new Map<string, ValueName>();
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #described: ValueInfo[] = [];
  #nextId = 0;

  /** `accuracy_level` of products with blocks: 4 rounds inputs to INT8, 0 leaves them float32. */
  readonly blockLevel: 0 | 4;

  private constructor(name: string, parent: GraphBuilder | null, sink: ConstantSink | null, blockLevel: 0 | 4) {
    this.#name = name;
    this.#parent = parent;
    this.#sink = sink;
    this.blockLevel = blockLevel;
  }

  /** @param sink null: constants lie in the graph */
  static open(name: string, sink: ConstantSink | null, blockLevel: 0 | 4 = 4): GraphBuilder {
    return new GraphBuilder(name, null, sink, blockLevel);
  }

  /** Names are unique over a graph and all its branches, as ONNX demands. */
  freshName(stem: string): ValueName {
    if (this.#parent !== null) return this.#parent.freshName(stem);
    this.#nextId += 1;
    return `${stem}_${this.#nextId}`;
  }

  branch(stem: string): GraphBuilder {
    return new GraphBuilder(this.freshName(stem), this, this.#sink, this.blockLevel);
  }

  input(name: string, type: ValueInfo['type'], dims: ValueInfo['dims']): ValueName {
    this.#inputs.push({ name, type, dims });
    return name;
  }

  /** Declares `value` as the next output, under the given name or its own. */
  output(value: ValueName, type: ValueInfo['type'], dims: ValueInfo['dims'], name: string = value): void {
    if (name !== value) this.#nodes.push(plainNode(this.freshName('identity'), 'Identity', [value], [name]));
    this.#outputs.push({ name, type, dims });
  }

  /**
   * Names dimensions that the runtime cannot derive. It lets a result take the memory of an operand only where it knows
   * them to be of one size.
   */
  describe(value: ValueName, type: ValueInfo['type'], dims: ValueInfo['dims']): ValueName {
    this.#described.push({ name: value, type, dims });
    return value;
  }

  /** A weight or another large constant; not shared. */
  weight(stem: string, values: Float32Array, dims: readonly number[]): ValueName {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return this.constant(stem, { type: 'float32', dims, bytes });
  }

  /**
   * A weight of any element type; not shared. A branch has its weights in the graph around it: those of a branch are
   * not saved as they are packed.
   */
  constant(stem: string, value: TensorValue & { readonly bytes: Uint8Array }): ValueName {
    if (this.#parent !== null) return this.#parent.constant(stem, value);
    const name = this.freshName(stem);
    const isLarge = this.#sink !== null && value.bytes.byteLength >= minFileBytes;
    this.#initializers.set(name, isLarge ? { ...value, bytes: this.#sink.write(value.bytes) } : value);
    return name;
  }

  /** A small int64 vector, or a scalar when `dims` is empty; equal ones are kept once, in the outermost graph. */
  ints(values: readonly number[], dims: readonly number[] = [values.length]): ValueName {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.#small({ type: 'int64', dims, bytes }, `int:${dims.join()}:${values.join()}`);
  }

  scalarInt(value: number): ValueName {
    return this.ints([value], []);
  }

  scalar(value: number): ValueName {
    const bytes = new Uint8Array(Float32Array.of(value).buffer);
    return this.#small({ type: 'float32', dims: [], bytes }, `float:${value}`);
  }

  scalarByte(value: number): ValueName {
    return this.#small({ type: 'uint8', dims: [], bytes: Uint8Array.of(value) }, `byte:${value}`);
  }

  zeros(dims: readonly number[]): ValueName {
    const bytes = new Uint8Array(4 * dims.reduce((product, dim) => product * dim, 1));
    return this.#small({ type: 'float32', dims, bytes }, `zeros:${dims.join()}`);
  }

  emptyInts(dims: readonly number[]): ValueName {
    return this.ints([], dims);
  }

  #small(value: TensorValue, key: string): ValueName {
    if (this.#parent !== null) return this.#parent.#small(value, key);
    const known = this.#smallConstants.get(key);
    if (known !== undefined) return known;
    const name = this.freshName('constant');
    this.#initializers.set(name, value);
    this.#smallConstants.set(key, name);
    return name;
  }

  op(operator: string, inputs: readonly ValueName[], attributes: Attributes = {}, domain = ''): ValueName {
    const output = this.freshName(operator);
    this.#nodes.push({ name: output, operator, domain, inputs, outputs: [output], attributes });
    return output;
  }

  /** An operator with several results. */
  ops(operator: string, inputs: readonly ValueName[], total: number, attributes: Attributes = {}): ValueName[] {
    const name = this.freshName(operator);
    const outputs = Array.from({ length: total }, (_, index) => `${name}_${index}`);
    this.#nodes.push({ name, operator, domain: '', inputs, outputs, attributes });
    return outputs;
  }

  /** `shape` mixes numbers, -1 and int64 vectors computed in the graph; zero means zero rows. */
  reshape(value: ValueName, shape: readonly (number | ValueName)[]): ValueName {
    const isFixed = shape.every((dim) => typeof dim === 'number');
    if (isFixed) return this.op('Reshape', [value, this.ints(shape as readonly number[])]);
    return this.reshapeTo(value, this.shape(shape));
  }

  /** @param shape of `shape` */
  reshapeTo(value: ValueName, shape: ValueName): ValueName {
    // allowzero: an empty prefix has zero columns, and a zero must not mean "copy the dimension".
    return this.op('Reshape', [value, shape], { allowzero: intAttribute(1) });
  }

  /** An int64 shape vector from numbers and one-element vectors. */
  shape(dims: readonly (number | ValueName)[]): ValueName {
    const parts = dims.map((dim) => (typeof dim === 'number' ? this.ints([dim]) : dim));
    return this.op('Concat', parts, { axis: intAttribute(0) });
  }

  /** One dimension as a one-element vector. */
  dimension(value: ValueName, axis: number): ValueName {
    return this.op('Shape', [value], { start: intAttribute(axis), end: intAttribute(axis + 1) });
  }

  transpose(value: ValueName, order: readonly number[]): ValueName {
    return this.op('Transpose', [value], { perm: intsAttribute(order) });
  }

  /**
   * Nothing of [rows, …]: [0, …], for a branch that is skipped. A constant would do, but the runtime cannot read back a
   * model it has saved when a branch gives one.
   */
  noRows(value: ValueName): ValueName {
    return this.op('Gather', [value, this.emptyInts([0])], { axis: intAttribute(0) });
  }

  concat(values: readonly ValueName[], axis: number): ValueName {
    return this.op('Concat', values, { axis: intAttribute(axis) });
  }

  /** Split along the last axis into parts of fixed widths. */
  splitLast(value: ValueName, widths: readonly number[]): ValueName[] {
    if (widths.every((width) => width === widths[0])) {
      return this.ops('Split', [value], widths.length, {
        axis: intAttribute(-1),
        num_outputs: intAttribute(widths.length),
      });
    }
    return this.ops('Split', [value, this.ints(widths)], widths.length, { axis: intAttribute(-1) });
  }

  /** `If` with two branches of equal outputs. */
  choose(condition: ValueName, whenTrue: GraphBuilder, whenFalse: GraphBuilder, total: number): ValueName[] {
    return this.ops('If', [condition], total, {
      then_branch: { type: 'graph', value: whenTrue.encode() },
      else_branch: { type: 'graph', value: whenFalse.encode() },
    });
  }

  encode(): ProtoBytes {
    return encodeGraph({
      name: this.#name,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: this.#outputs,
      described: this.#described,
    });
  }

  /** The whole model file. */
  encodeModel(): Uint8Array {
    return concatBytes(encodeModel({ irVersion, producer: 'quire', opsets, graph: this.encode() }));
  }
}

function plainNode(
  name: string,
  operator: string,
  inputs: readonly ValueName[],
  outputs: readonly ValueName[],
): NodeValue {
  return { name, operator, domain: '', inputs, outputs, attributes: {} };
}
