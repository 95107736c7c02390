import { describe, expect, it } from 'vitest';
import { concatBytes, encodeGraph, encodeModel, encodeTensor } from '../../../../src/engine/model/onnx-proto.ts';
import { emptyGraph, encodeEmptyGraph } from '../../../support/empty-graph.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('encodeTensor', () => {
  it('writes dims, type, name and little-endian data', () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    // dims 300 (varint ac02) and 1; FLOAT; name "w"; raw_data of 4 bytes.
    expect(hex(concatBytes(encodeTensor('w', { type: 'float32', dims: [300, 1], bytes })))).toBe(
      '08ac020801' + '1001' + '420177' + '4a0401020304',
    );
  });
});

describe('encodeGraph', () => {
  it('writes nodes with attributes of every kind', () => {
    const nested = encodeEmptyGraph('g');
    expect(hex(concatBytes(nested))).toBe('120167');
    const node = {
      name: 'n',
      operator: 'Op',
      domain: 'd',
      inputs: ['a', 'b'],
      outputs: ['c'],
      attributes: {
        f: { type: 'float', value: 1 },
        i: { type: 'int', value: -1 },
        s: { type: 'string', value: 'x' },
        g: { type: 'graph', value: nested },
        k: { type: 'ints', value: [1, 2] },
        l: { type: 'floats', value: [0.5] },
        m: { type: 'strings', value: ['y', 'z'] },
      },
    } as const;
    const graph = encodeGraph({ ...emptyGraph, name: 'G', nodes: [node] });
    const attributes = [
      '0a0166' + '150000803f' + 'a00101',
      '0a0169' + '18ffffffffffffffffff01' + 'a00102',
      '0a0173' + '220178' + 'a00103',
      '0a0167' + '3203120167' + 'a00105',
      '0a016b' + '40014002' + 'a00107',
      '0a016c' + '3d0000003f' + 'a00106',
      '0a016d' + '4a01794a017a' + 'a00108',
    ];
    const frame = (part: string): string => `2a${(part.length / 2).toString(16).padStart(2, '0')}${part}`;
    const framed = attributes.map(frame).join('');
    const body = `0a01610a0162${'120163'}${'1a016e'}${'22024f70'}${framed}${'3a0164'}`;
    expect(body.length / 2).toBe(0x72);
    expect(hex(concatBytes(graph))).toBe(`0a72${body}120147`);
  });

  it.each([
    ['inputs', '5a'],
    ['outputs', '62'],
    ['described', '6a'],
  ] as const)('writes %s with fixed and named dimensions', (kind, field) => {
    const values = [{ name: 'x', type: 'int64', dims: [5, 'n'] }] as const;
    const graph = encodeGraph({ ...emptyGraph, name: 'G', [kind]: values });
    const shape = '0a020805' + '0a0312016e';
    const tensorType = `0807${'12'}${'09'}${shape}`;
    const type = `0a0d${tensorType}`;
    expect(hex(concatBytes(graph))).toBe(`120147${field}${'14'}${'0a0178'}${'120f'}${type}`);
  });
});

describe('encodeModel', () => {
  it('writes version, producer, graph and operator sets', () => {
    const graph = encodeEmptyGraph('g');
    const model = encodeModel({ irVersion: 11, producer: 'p', opsets: { '': 24, x: 1 }, graph });
    expect(hex(concatBytes(model))).toBe('080b' + '120170' + '3a03120167' + '42040a001018' + '42050a01781001');
    expect(model.byteLength).toBe(concatBytes(model).byteLength);
  });
});
