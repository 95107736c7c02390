import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { parseTiktokenFile, tiktokenFile, tokenizerConfigFile } from './tiktoken-file.ts';
import { parseTokenizerFile } from './tokenizer-file.ts';
import type { TokenizerVocabulary } from './vocabulary.ts';

const jsonFile = 'tokenizer.json';

/** @throws `input.model-folder` */
export async function loadVocabulary(dir: string): Promise<TokenizerVocabulary> {
  const json = await findText(dir, jsonFile);
  if (json !== undefined) return parseTokenizerFile(parseJson(jsonFile, json));
  const ranks = await findText(dir, tiktokenFile);
  if (ranks === undefined) {
    throw new AppError('input.model-folder', `model folder ${dir} has no ${jsonFile} or ${tiktokenFile}`);
  }
  const config = await findText(dir, tokenizerConfigFile);
  if (config === undefined) {
    const what = `has ${tiktokenFile} but no ${tokenizerConfigFile}, which names its special tokens`;
    throw new AppError('input.model-folder', `model folder ${dir} ${what}`);
  }
  return parseTiktokenFile(ranks, parseJson(tokenizerConfigFile, config));
}

async function findText(dir: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(dir, name), 'utf8');
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ENOENT') return undefined;
    throw new AppError('input.model-folder', `${join(dir, name)} cannot be read`, { cause: error });
  }
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('input.model-folder', `${name} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
