import type { Tokenizer } from '../ports.ts';

/** Shorter texts are encoded again: that costs less than keeping them. */
const minCharacters = 2_048;
/** Characters of all texts kept, the ones used longest ago dropped first: 16 MB in memory. */
const maxCharacters = 8_000_000;

/** A tokenizer that remembers long texts: a document is then encoded once, not once a question. */
export function rememberTexts(tokenizer: Tokenizer): Tokenizer {
  const kept = new Map<string, readonly number[]>();
  let characters = 0;
  const remember = (text: string, ids: readonly number[]): void => {
    kept.set(text, ids);
    characters += text.length;
    for (const oldest of kept.keys()) {
      if (characters <= maxCharacters || oldest === text) break;
      kept.delete(oldest);
      characters -= oldest.length;
    }
  };
  return {
    vocabularySize: tokenizer.vocabularySize,
    specialId: (token) => tokenizer.specialId(token),
    tokenBytes: (id) => tokenizer.tokenBytes(id),
    decode: (ids) => tokenizer.decode(ids),
    openDecoder: () => tokenizer.openDecoder(),
    encodePlain: (text) => {
      if (text.length < minCharacters) return tokenizer.encodePlain(text);
      const known = kept.get(text);
      if (known === undefined) {
        const ids = tokenizer.encodePlain(text);
        remember(text, ids);
        return ids.slice();
      }
      // in order of use
      kept.delete(text);
      kept.set(text, known);
      return known.slice();
    },
  };
}
