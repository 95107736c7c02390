import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../src/base/hash.ts';
import { describeModel } from '../../../src/engine/index.ts';
import { decodeHeaderLength, decodeSafetensorsHeader } from '../../../src/engine/model/safetensors.ts';
import { SeededRandom } from '../../../src/engine/sample/random.ts';
import { openTokenizer } from '../../../src/engine/tokenizer/tokenizer.ts';
import { encodeBf16, encodeSafetensors, roundToBf16 } from '../../support/make-nano/encode-safetensors.ts';
import { specialTokens, vocabularySize, weightSeed } from '../../support/make-nano/nano-config.ts';
import { buildNanoTokenizer } from '../../support/make-nano/nano-tokenizer.ts';
import { buildNanoWeights } from '../../support/make-nano/nano-weights.ts';
import { packInt4 } from '../../support/make-nano/pack-int4.ts';
import { readTokenizerTexts } from '../../support/make-nano/tokenizer-texts.ts';
import { testModelDir } from '../../support/test-model.ts';

const checkpoint = readFileSync(join(testModelDir, 'model.safetensors'));

const readHeader = (file: Uint8Array) => {
  const headerBytes = decodeHeaderLength(file.subarray(0, 8), file.length, 'model.safetensors');
  return decodeSafetensorsHeader(file.subarray(8, 8 + headerBytes), file.length, 'model.safetensors').tensors;
};

describe('the test model', () => {
  it('is a checkpoint that the engine takes, and says that its weights are random', async () => {
    const card = await describeModel(testModelDir);
    expect(card).toMatchObject({ id: 'quire-nano', weights: 'random', contextTokens: 32768, layers: 4, experts: 16 });
    expect(card.notice).toMatch(/random weights/);
    expect(card.vocabularySize).toBe(vocabularySize);
    expect(checkpoint.length).toBeLessThan(12_000_000);
  });

  it('has a tokenizer that fills its vocabulary, the special tokens on top', async () => {
    const tokenizer = await openTokenizer(testModelDir, vocabularySize);
    expect(tokenizer.vocabularySize).toBe(vocabularySize);
    const ids = specialTokens.map((token) => tokenizer.specialId(token));
    expect(ids).toEqual(specialTokens.map((_, index) => vocabularySize - specialTokens.length + index));
    const config = JSON.parse(readFileSync(join(testModelDir, 'config.json'), 'utf8'));
    expect(config.eos_token_id).toBe(tokenizer.specialId('<|im_end|>'));
  });

  it('spends at least three characters a token on business prose', async () => {
    const tokenizer = await openTokenizer(testModelDir, vocabularySize);
    const text = 'The supplier shall deliver the goods within thirty days after the customer has accepted the order.';
    expect(text.length / tokenizer.encodePlain(text).length).toBeGreaterThan(3);
  });

  it('holds the weights that its seed gives', { timeout: 60_000 }, () => {
    const entries = readHeader(checkpoint);
    let compared = 0;
    for (const { name, dtype, shape, bytes } of buildNanoWeights(weightSeed)) {
      if (name.startsWith('model.layers.1.mlp.experts.1')) break;
      const entry = entries.get(name);
      expect(entry).toMatchObject({ dtype, shape });
      // compared as hashes: a difference would print megabytes
      expect(sha256Hex(checkpoint.subarray(entry?.start, entry?.end)), name).toBe(sha256Hex(bytes));
      compared++;
    }
    expect(compared).toBeGreaterThan(30);
  });
});

describe('buildNanoTokenizer', () => {
  it('gives the same bytes for the same texts', { timeout: 60_000 }, () => {
    const texts = readTokenizerTexts();
    const build = () => sha256Hex(JSON.stringify(buildNanoTokenizer(texts)));
    expect(build()).toBe(build());
  });
});

describe('packInt4', () => {
  it('keeps every weight within half a step of its group, in the documented layout', () => {
    const [rows, columns, groupColumns] = [3, 64, 32];
    const random = new SeededRandom(1);
    const values = Float32Array.from({ length: rows * columns }, () => random.next() - 0.5);
    values.fill(0, 0, groupColumns);
    const [packed, scale, shape] = packInt4('w', values, rows, columns, groupColumns);
    expect(packed).toMatchObject({ name: 'w.weight_packed', dtype: 'I32', shape: [rows, columns / 8] });
    expect(scale).toMatchObject({ name: 'w.weight_scale', dtype: 'BF16', shape: [rows, columns / groupColumns] });
    expect([...new Int32Array(Uint8Array.from(shape?.bytes ?? []).buffer)]).toEqual([rows, columns]);
    const words = Buffer.from(packed?.bytes ?? []);
    const scales = Buffer.from(scale?.bytes ?? []);
    for (const [index, value] of values.entries()) {
      const [row, column] = [Math.floor(index / columns), index % columns];
      const word = words.readUInt32LE(4 * (row * (columns / 8) + (column >> 3)));
      const level = ((word >>> (4 * (column & 7))) & 15) - 8;
      const bits = scales.readUInt16LE(2 * (row * (columns / groupColumns) + (column >> 5)));
      const step = new Float32Array(new Uint32Array([bits << 16]).buffer)[0] ?? 0;
      expect(level).toBeGreaterThanOrEqual(-7);
      // a scale that was rounded down to BF16 may clip the largest weight by 1/256 of itself
      expect(Math.abs(level * step - value)).toBeLessThanOrEqual(step / 2 + Math.abs(value) / 128);
    }
  });
});

describe('encodeBf16', () => {
  it('rounds to nearest, ties to even', () => {
    // 8 bits of precision: steps of 1/128 from 1 on
    const values = [1, 1 + 1 / 256, 1 + 3 / 256, -1 - 1 / 200, 0, 3e38];
    expect(values.map(roundToBf16)).toEqual([
      1,
      1,
      1 + 4 / 256,
      -1 - 1 / 128,
      0,
      Math.fround(2 ** 127 * (1 + 98 / 128)),
    ]);
    expect([...encodeBf16(Float32Array.of(1, -2))]).toEqual([0x80, 0x3f, 0x00, 0xc0]);
  });
});

describe('encodeSafetensors', () => {
  it('writes what the engine reads, wide elements first', () => {
    const file = encodeSafetensors([
      { name: 'b', dtype: 'BF16', shape: [3], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) },
      { name: 'a', dtype: 'F32', shape: [1], bytes: Uint8Array.of(7, 8, 9, 10) },
    ]);
    const tensors = readHeader(file);
    expect([...tensors.keys()]).toEqual(['a', 'b']);
    const entry = tensors.get('b');
    expect([...file.subarray(entry?.start, entry?.end)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect((tensors.get('a')?.start ?? 1) % 8).toBe(0);
  });
});
