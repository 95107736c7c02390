import { describe, expect, it } from 'vitest';
import { concatBytes, encodeModel, encodeStringEntry } from '../../../../src/engine/model/onnx-proto.ts';
import { mapField } from '../../../../src/engine/model/proto-reader.ts';
import { encodeEmptyGraph } from '../../../support/empty-graph.ts';

const text = new TextDecoder();

describe('mapField', () => {
  it('replaces one field wherever it occurs and keeps the rest byte for byte', () => {
    const entry = encodeStringEntry('offset', '128');
    const longer = mapField(entry, 2, () => new TextEncoder().encode('1000000'.repeat(30)));
    expect(longer).toEqual(encodeStringEntry('offset', '1000000'.repeat(30)));
    expect(mapField(entry, 3, () => new Uint8Array())).toEqual(entry);
  });

  it('leaves out what is mapped to nothing', () => {
    const entry = encodeStringEntry('offset', '128');
    expect(
      mapField(
        mapField(entry, 1, () => null),
        2,
        () => null,
      ),
    ).toEqual(new Uint8Array());
  });

  it('passes over numbers of every wire type', () => {
    const graph = encodeEmptyGraph('g');
    const model = concatBytes(encodeModel({ irVersion: 11, producer: 'quire', opsets: { '': 24 }, graph }));
    const met: string[] = [];
    mapField(model, 2, (name) => {
      met.push(text.decode(name));
      return name;
    });
    expect(met).toEqual(['quire']);
    const fixed = Uint8Array.of(13, 1, 2, 3, 4, 9, 1, 2, 3, 4, 5, 6, 7, 8, 18, 1, 65);
    expect(mapField(fixed, 2, () => Uint8Array.of(66))).toEqual(Uint8Array.of(...fixed.subarray(0, 16), 66));
  });

  it.each([[[18, 5, 1]], [[15]], [[128]], [[13, 1]]])('rejects %j', (bytes) => {
    expect(() => mapField(Uint8Array.from(bytes), 2, (value) => value)).toThrow('no protobuf field at byte');
  });
});
