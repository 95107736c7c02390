import type { PairTable } from './bpe.ts';
import type { Splitter } from './pretokenize.ts';

/** What the files of a byte-level tokenizer say, checked. */
export interface TokenizerVocabulary {
  /** The file that says it, for messages. */
  readonly file: string;
  /** Bytes of each id; empty for control tokens and for ids nobody uses. */
  readonly tokenBytes: readonly Uint8Array[];
  /** Ids that text can become, by their bytes as Latin-1 text. */
  readonly textIds: ReadonlyMap<string, number>;
  /** Special tokens by their names. */
  readonly addedIds: ReadonlyMap<string, number>;
  readonly pairs: PairTable;
  /** Is a piece that is a token as it is taken whole, whatever its pairs would make of it? */
  readonly takesWholePieces: boolean;
  readonly normalize: (text: string) => string;
  readonly split: Splitter;
}
