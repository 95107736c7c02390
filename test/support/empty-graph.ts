import { encodeGraph, type GraphValue } from '../../src/engine/model/onnx-proto.ts';

/** All that a graph can hold, with nothing in it. */
export const emptyGraph: Omit<GraphValue, 'name'> = {
  nodes: [],
  initializers: new Map(),
  inputs: [],
  outputs: [],
  described: [],
};

export const encodeEmptyGraph = (name: string) => encodeGraph({ name, ...emptyGraph });
