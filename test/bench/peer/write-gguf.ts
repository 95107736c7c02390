import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelConfig, parseModelConfig } from '../../../src/engine/model/model-config.ts';
import { CheckpointTensors } from './checkpoint-tensors.ts';
import { buildMetadata } from './deepseek2-metadata.ts';
import { planGgufTensors } from './deepseek2-tensors.ts';
import { encodeGgufHeader, paddingBehind, tensorBytes } from './gguf-header.ts';
import { buildWordVocabulary } from './word-vocabulary.ts';

/**
 * Writes the weights of a checkpoint folder of `writeShapeCheckpoint` as a GGUF file, a tensor at a time.
 * @throws when the config asks for what the peer's file cannot say
 */
export async function writeGguf(folder: string, file: string): Promise<void> {
  const config = parseModelConfig(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
  checkConfig(config);
  const tensors = [...planGgufTensors(config)];
  const source = await CheckpointTensors.open(folder);
  const target = await open(file, 'w');
  try {
    await target.writeFile(
      encodeGgufHeader(buildMetadata(config, buildWordVocabulary(config.vocabularySize)), tensors),
    );
    for (const tensor of tensors) {
      let written = 0;
      for await (const piece of tensor.pieces(source)) {
        await target.writeFile(piece);
        written += piece.byteLength;
      }
      const wanted = tensorBytes(tensor);
      if (written !== wanted) throw new Error(`${tensor.name} took ${written} bytes, its shape says ${wanted}`);
      await target.writeFile(new Uint8Array(paddingBehind(written)));
    }
  } finally {
    await source.close();
    await target.close();
  }
}

function checkConfig({ expertLayerEvery, rope, normEpsilon, latentNormEpsilon, layers }: ModelConfig): void {
  const wanted: readonly (readonly [what: string, holds: boolean])[] = [
    ['experts in every layer behind the dense ones', expertLayerEvery === 1],
    ['no YaRN', rope.yarn === null],
    ['one epsilon for all norms', normEpsilon === latentNormEpsilon],
    // these two make the peer expect the small variant of the architecture
    ['a number of layers other than 26 and 27', layers !== 26 && layers !== 27],
  ];
  const broken = wanted.filter(([, holds]) => !holds).map(([what]) => what);
  if (broken.length > 0) throw new Error(`the GGUF writer needs ${broken.join(', ')}`);
}
