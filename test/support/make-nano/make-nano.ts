import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../../../src/base/hash.ts';
import { testModelDir } from '../test-model.ts';
import { encodeSafetensors } from './encode-safetensors.ts';
import { buildConfig, generationConfig, label, weightSeed } from './nano-config.ts';
import { buildNanoTokenizer, tokenizerConfig } from './nano-tokenizer.ts';
import { buildNanoWeights } from './nano-weights.ts';
import { readTokenizerTexts } from './tokenizer-texts.ts';

/** Writes the model of tests: the same bytes for the same texts. Run: `node --import tsx test/support/make-nano/make-nano.ts` */
async function main(): Promise<void> {
  const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;
  const contents: Readonly<Record<string, string | Uint8Array>> = {
    'config.json': json(buildConfig()),
    'generation_config.json': json(generationConfig),
    'tokenizer.json': json(buildNanoTokenizer(readTokenizerTexts())),
    'tokenizer_config.json': json(tokenizerConfig),
    'chat_template.jinja': await readFile(new URL('../../../model/chat_template.jinja', import.meta.url)),
    'quire.json': json(label),
    'model.safetensors': encodeSafetensors([...buildNanoWeights(weightSeed)]),
  };
  await mkdir(testModelDir, { recursive: true });
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(join(testModelDir, name), content);
    const bytes = Buffer.from(content);
    process.stdout.write(`${sha256Hex(bytes)}  ${name}  ${bytes.byteLength} bytes\n`);
  }
}

await main();
