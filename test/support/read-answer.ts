import { LatentBuffer, roundRows } from '../../src/engine/kv/latent-buffer.ts';
import { RoundedBlocks } from '../../src/engine/kv/rounded-blocks.ts';
import { blockRows, type ModelRunner } from '../../src/engine/ports.ts';
import { joinFloats } from '../../src/engine/runtime/run-in-parts.ts';

export interface Answering {
  /** Rows before this one are a window. */
  readonly border: number;
  /** New rows of each run; a run ends with its block. */
  readonly chunks: readonly number[];
}

/** Logits and latents of all tokens as those of an answer: whole blocks before a row's own are read in INT8. */
export async function readAsAnswer(
  runner: ModelRunner,
  ids: readonly number[],
  { border, chunks }: Answering,
): Promise<Float32Array> {
  const rounding = runner.rounding ?? raise('the runner rounds nothing');
  const rows = new LatentBuffer(runner.layers, runner.latentWidth, ids.length);
  const member = {};
  const blocks = new RoundedBlocks(runner, rounding);
  const logits: Float32Array[] = [];
  let index = 0;
  for (let row = 0; row < ids.length; index++) {
    const inBlock = blockRows - (row % blockRows);
    const tokenIds = ids.slice(row, row + Math.min(chunks[index % chunks.length] ?? 1, inBlock));
    const prefixRows = Math.min(border, row - (row % blockRows));
    const prefix = rows.view(prefixRows);
    const suffixRows = roundRows(row + tokenIds.length - prefixRows);
    rows.reserve(prefixRows + suffixRows);
    const suffix = rows.view(suffixRows, prefixRows);
    const whole = (row - (row % blockRows) - prefixRows) / blockRows;
    await blocks.keep(member, whole, (place) => rows.view(blockRows, prefixRows + place * blockRows));
    const output = await runner.run({
      sequences: [{ tokenIds, start: row, wanted: tokenIds.length }],
      prefix,
      prefixRows,
      rounded: prefixRows === 0 ? null : await rounding.round(prefix, prefixRows),
      ownBlocks: blocks.of([member]),
      suffix,
      suffixRows,
      head: true,
    });
    rows.store(row, tokenIds.length, output.latents);
    logits.push(output.logits);
    row += tokenIds.length;
  }
  return joinFloats([...logits, ...rows.view(ids.length)]);
}

function raise(what: string): never {
  throw new Error(what);
}
