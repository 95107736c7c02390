import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { TokenDecoder, Tokenizer } from '../ports.ts';
import { BytePairEncoder } from './bpe.ts';
import { tokenizerFileError } from './file-error.ts';
import { loadVocabulary } from './load-vocabulary.ts';
import { openTokenDecoder } from './token-decoder.ts';
import type { TokenizerVocabulary } from './vocabulary.ts';

/**
 * Opens the byte-level BPE tokenizer of a model folder: `tokenizer.json` (Hugging Face) where there is one, else
 * `tiktoken.model` with the special tokens of `tokenizer_config.json`.
 * @param vocabularySize rows of the model's embedding table; ids beyond it are refused. Left out: not checked.
 * @throws `input.model-folder`
 */
export async function openTokenizer(dir: string, vocabularySize?: number): Promise<Tokenizer> {
  const vocabulary = await loadVocabulary(dir);
  const tokenizer = buildTokenizer(vocabulary);
  if (vocabularySize !== undefined && tokenizer.vocabularySize > vocabularySize) {
    const what = `the vocabulary of ${vocabularySize} entries that config.json gives the model`;
    throw tokenizerFileError('highest token id', tokenizer.vocabularySize - 1, what, vocabulary.file);
  }
  return tokenizer;
}

export function buildTokenizer(vocabulary: TokenizerVocabulary): Tokenizer {
  return new ByteLevelTokenizer(vocabulary);
}

class ByteLevelTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly #vocabulary: TokenizerVocabulary;
  readonly #encoder: BytePairEncoder;

  constructor(vocabulary: TokenizerVocabulary) {
    this.vocabularySize = vocabulary.tokenBytes.length;
    this.#vocabulary = vocabulary;
    this.#encoder = new BytePairEncoder({
      byteIds: Array.from({ length: 256 }, (_, byte) => getByteId(vocabulary, byte)),
      pairs: vocabulary.pairs,
      wholePieces: vocabulary.takesWholePieces ? vocabulary.textIds : null,
    });
  }

  encodePlain(text: string): number[] {
    const ids: number[] = [];
    for (const piece of this.#vocabulary.split(this.#vocabulary.normalize(text))) this.#encoder.encode(piece, ids);
    return ids;
  }

  specialId(token: string): number {
    const id = this.#vocabulary.addedIds.get(token);
    if (id === undefined) {
      const { file } = this.#vocabulary;
      throw new AppError('input.model-folder', `${file} has no special token ${token}`, { details: { file, token } });
    }
    return id;
  }

  tokenBytes(id: number): Uint8Array {
    const bytes = this.#vocabulary.tokenBytes[id];
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

function getByteId({ file, textIds }: TokenizerVocabulary, byte: number): number {
  const id = textIds.get(String.fromCharCode(byte));
  if (id === undefined)
    throw tokenizerFileError(`the token of byte ${byte}`, undefined, 'tokens for all 256 bytes', file);
  return id;
}
