import { byteCharacters } from '../../../src/engine/tokenizer/byte-alphabet.ts';

/** Special tokens of the prompt format, without those of thoughts and tools: an answer is then its tokens and nothing else. */
export const specialTokens = [
  '[BOS]',
  '[EOS]',
  '<|im_end|>',
  '<|im_user|>',
  '<|im_assistant|>',
  '<|im_system|>',
  '<|im_middle|>',
];

const roles = ['system', 'user', 'assistant'];
const letters = 'abcdefghijklmnopqrstuvwxyz';

/** Four letters for every number below 26⁴. */
export function wordOf(index: number): string {
  return [3, 2, 1, 0].map((place) => letters.charAt(Math.floor(index / 26 ** place) % 26)).join('');
}

export interface WordVocabulary {
  /** In the characters of byte-level vocabularies: 256 bytes, the roles, words with a space before them. */
  readonly texts: readonly string[];
  /** Their ids follow those of the texts. */
  readonly specials: readonly string[];
  /** How many different words there are. */
  readonly words: number;
}

/** A vocabulary in which a text of n words is n tokens, so that a prompt has exactly the length that is wanted. */
export function buildWordVocabulary(total: number): WordVocabulary {
  const words = total - 256 - roles.length - specialTokens.length;
  const space = byteCharacters[' '.charCodeAt(0)] ?? '';
  const texts = [...byteCharacters, ...roles, ...Array.from({ length: words }, (_, index) => space + wordOf(index))];
  return { texts, specials: specialTokens, words };
}

export function specialIdOf(vocabulary: WordVocabulary, token: string): number {
  return vocabulary.texts.length + vocabulary.specials.indexOf(token);
}

/** Content of tokenizer.json. */
export function buildWordTokenizer({ texts, specials }: WordVocabulary): Readonly<Record<string, unknown>> {
  return {
    version: '1.0',
    added_tokens: specials.map((content, index) => ({ id: texts.length + index, content, special: true })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    decoder: { type: 'ByteLevel' },
    // a word is taken whole, so that no merges are needed
    model: {
      type: 'BPE',
      ignore_merges: true,
      vocab: Object.fromEntries(texts.map((text, id) => [text, id])),
      merges: [],
    },
  };
}
