import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors } from './encode-safetensors.ts';
import { buildConfig, generationConfig, label, weightSeed } from './nano-config.ts';
import { buildNanoTokenizer, tokenizerConfig } from './nano-tokenizer.ts';
import { buildNanoWeights } from './nano-weights.ts';
import { renderModelCard, type TrainingText } from './render-model-card.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const modelFolder = join(root, 'model', 'quire-nano');
/** Folders whose files the tokenizer is trained on, in this order, files by name. */
const textFolders = ['model/corpus', 'src/cli/demo/documents'];

async function listTexts(): Promise<readonly string[]> {
  const lists = textFolders.map(async (folder) => {
    const names = (await readdir(join(root, folder))).filter((name) => /\.(?:txt|md)$/.test(name)).sort();
    return names.map((name) => join(root, folder, name));
  });
  return (await Promise.all(lists)).flat();
}

/**
 * Writes the files of model/quire-nano: the same bytes for the same texts.
 * Files named on the command line replace the default training texts of the tokenizer.
 */
async function main(files: readonly string[]): Promise<void> {
  const paths = files.length > 0 ? files : await listTexts();
  const texts: (TrainingText & { readonly text: string })[] = [];
  for (const path of paths) {
    const bytes = await readFile(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    texts.push({ name: relative(root, path), bodyBytes: bytes.byteLength, sha256, text: bytes.toString('utf8') });
  }
  const tokenizer = buildNanoTokenizer(texts.map(({ text }) => text));
  const weights = encodeSafetensors([...buildNanoWeights(weightSeed)]);
  const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;
  const contents: Readonly<Record<string, string | Uint8Array>> = {
    'config.json': json(buildConfig()),
    'generation_config.json': json(generationConfig),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json(tokenizerConfig),
    'chat_template.jinja': await readFile(join(root, 'model', 'chat_template.jinja')),
    'quire.json': json(label),
    'model.safetensors': weights,
    'README.md': renderModelCard(texts, weightSeed),
  };
  await mkdir(modelFolder, { recursive: true });
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(join(modelFolder, name), content);
    const bytes = Buffer.from(content);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    process.stdout.write(`${sha256}  ${name}  ${bytes.byteLength} bytes\n`);
  }
}

await main(process.argv.slice(2));
