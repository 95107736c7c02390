import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../../../model/training/tokenizer/texts/', import.meta.url);

/** The hand-written texts that tokenizers are trained on, files by name. */
export function readTokenizerTexts(): readonly string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
}
