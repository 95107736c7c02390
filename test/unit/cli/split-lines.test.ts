import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitLines } from '../../../src/cli/split-lines.ts';

async function collect(chunks: readonly Uint8Array[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of splitLines(
    (async function* () {
      yield* chunks;
    })(),
  ))
    lines.push(line);
  return lines;
}

describe('splitLines', () => {
  it('gives the same lines however the bytes are cut', async () => {
    const lines = fc.array(fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replaceAll('\n', ' ')));
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), async (texts, sizes) => {
        const bytes = Buffer.from(texts.join('\n'));
        const chunks: Uint8Array[] = [];
        for (let start = 0, turn = 0; start < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          chunks.push(bytes.subarray(start, start + size));
          start += size;
        }
        expect(await collect(chunks)).toEqual(texts);
      }),
    );
  });

  it('does not end a line at other line ends, which JSON strings may hold', async () => {
    expect(await collect([Buffer.from('{"a":"x\u2028y\u2029z"}\n\n{"b":1}\n')])).toEqual([
      '{"a":"x\u2028y\u2029z"}',
      '{"b":1}',
    ]);
  });
});
