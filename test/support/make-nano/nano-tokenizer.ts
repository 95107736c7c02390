import { byteCharacters } from '../../../src/engine/tokenizer/byte-alphabet.ts';
import { buildSplitter } from '../../../src/engine/tokenizer/pretokenize.ts';
import { specialTokens, textTokens } from './nano-config.ts';
import { trainBytePairs } from './train-bpe.ts';

const han = '[一-鿿㐀-䶿]';
const upper = `(?:(?!${han})[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}])`;
const lower = `(?:(?!${han})[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}])`;
const contraction = "(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?";

/**
 * The split of Kimi's tokenizer with digits by themselves: numbers are copied out of documents, and a digit that is
 * always the same token is easier to copy. Written so that Oniguruma and JavaScript read it alike.
 */
export const splitPattern = [
  `${han}+`,
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${contraction}`,
  `[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${contraction}`,
  '\\p{N}',
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*',
  '\\s*[\\r\\n]+',
  '\\s+(?!\\S)',
  '\\s+',
].join('|');

const preTokenizer = {
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: splitPattern }, behavior: 'Isolated', invert: false },
    { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
};

/** Trains the tokenizer on `texts` and returns the content of tokenizer.json. */
export function buildNanoTokenizer(texts: readonly string[]) {
  const split = buildSplitter(preTokenizer);
  const merges = trainBytePairs(
    texts.flatMap((text) => split(text)),
    textTokens - 256,
  );
  const characters = (latin1: string): string =>
    [...latin1].map((character) => byteCharacters[character.charCodeAt(0)]).join('');
  const merged = merges.map(([left, right]) => [characters(left), characters(right)] as const);
  const vocabulary: Record<string, number> = {};
  for (const [id, text] of [...byteCharacters, ...merged.map(([left, right]) => left + right)].entries()) {
    vocabulary[text] = id;
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, index) => ({
      id: textTokens + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      // as in the family: thoughts survive decoding without special tokens
      special: content !== '<think>' && content !== '</think>',
    })),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary,
      merges: merged,
    },
  };
}

export const tokenizerConfig = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  add_bos_token: false,
  add_eos_token: false,
  bos_token: '[BOS]',
  eos_token: '<|im_end|>',
  unk_token: '[UNK]',
  pad_token: '[PAD]',
  clean_up_tokenization_spaces: false,
  model_max_length: 32768,
};
