import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { TokenDecoder, Tokenizer } from '../ports.ts';
import { BytePairEncoder } from './bpe.ts';
import { tokenizerFileError } from './file-error.ts';
import { openTokenDecoder } from './token-decoder.ts';
import { parseTokenizerFile, type TokenizerFile } from './tokenizer-file.ts';

const fileName = 'tokenizer.json';

/**
 * Opens the byte-level BPE tokenizer of a model folder (Hugging Face `tokenizer.json`).
 * @param vocabularySize rows of the model's embedding table; ids beyond it are refused. Left out: not checked.
 * @throws `input.model-folder`
 */
export async function openTokenizer(dir: string, vocabularySize?: number): Promise<Tokenizer> {
  const tokenizer = buildTokenizer(await loadTokenizerJson(dir));
  if (vocabularySize !== undefined && tokenizer.vocabularySize > vocabularySize) {
    const what = `the vocabulary of ${vocabularySize} entries that config.json gives the model`;
    throw tokenizerFileError('highest token id', tokenizer.vocabularySize - 1, what);
  }
  return tokenizer;
}

/** The same from the parsed file. */
export function buildTokenizer(value: unknown): Tokenizer {
  return new ByteLevelTokenizer(parseTokenizerFile(value));
}

async function loadTokenizerJson(dir: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(join(dir, fileName), 'utf8');
  } catch (error) {
    const missing = (error as { readonly code?: unknown }).code === 'ENOENT';
    const what = missing ? `model folder ${dir} has no ${fileName}` : `${join(dir, fileName)} cannot be read`;
    throw new AppError('input.model-folder', what, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('input.model-folder', `${fileName} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

class ByteLevelTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly #file: TokenizerFile;
  readonly #encoder: BytePairEncoder;

  constructor(file: TokenizerFile) {
    this.vocabularySize = file.tokenBytes.length;
    this.#file = file;
    this.#encoder = new BytePairEncoder({
      byteIds: Array.from({ length: 256 }, (_, byte) => getByteId(file, byte)),
      merges: file.merges,
      wholePieces: file.ignoreMerges ? file.textIds : null,
    });
  }

  encodePlain(text: string): number[] {
    const ids: number[] = [];
    for (const piece of this.#file.split(this.#file.normalize(text))) this.#encoder.encode(piece, ids);
    return ids;
  }

  specialId(token: string): number {
    const id = this.#file.addedIds.get(token);
    if (id === undefined) {
      const what = `${fileName} has no special token ${token}`;
      throw new AppError('input.model-folder', what, { details: { file: fileName, token } });
    }
    return id;
  }

  tokenBytes(id: number): Uint8Array {
    const bytes = this.#file.tokenBytes[id];
    invariant(bytes !== undefined, `token id ${id} is not in 0 … ${this.vocabularySize - 1}`);
    return bytes;
  }

  decode(ids: readonly number[]): string {
    const bytes = Buffer.concat(ids.map((id) => this.tokenBytes(id)));
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  }

  openDecoder(): TokenDecoder {
    return openTokenDecoder((id) => this.tokenBytes(id));
  }
}

function getByteId(file: TokenizerFile, byte: number): number {
  const id = file.textIds.get(String.fromCharCode(byte));
  if (id === undefined) throw tokenizerFileError(`model.vocab token of byte ${byte}`, undefined, 'all 256 bytes');
  return id;
}
