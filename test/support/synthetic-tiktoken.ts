/** Tokenizers made in a test: a small byte pair training, and the two file forms of what it learnt. */

/** Tokens as Latin-1 text, in order of rank: 256 bytes, then what joins most often in the words. */
export function trainBytePairs(corpus: readonly string[], joins: number): readonly string[] {
  const words = corpus.map((word) => [...Buffer.from(word, 'utf8').toString('latin1')]);
  const tokens = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const known = new Set(tokens);
  while (tokens.length < 256 + joins) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let at = 1; at < word.length; at++) {
        const joined = `${word[at - 1]}${word[at]}`;
        if (!known.has(joined)) counts.set(joined, (counts.get(joined) ?? 0) + 1);
      }
    }
    const [best] = [...counts].sort(([one, a], [other, b]) => b - a || (one < other ? -1 : 1));
    if (best === undefined) return tokens;
    tokens.push(best[0]);
    known.add(best[0]);
    for (const word of words) joinIn(word, best[0]);
  }
  return tokens;
}

function joinIn(word: string[], joined: string): void {
  for (let at = 1; at < word.length; at++) {
    if (`${word[at - 1]}${word[at]}` === joined) word.splice(at - 1, 2, joined);
  }
}

export function encodeTiktoken(tokens: readonly string[]): string {
  return tokens.map((token, rank) => `${Buffer.from(token, 'latin1').toString('base64')} ${rank}\n`).join('');
}

/** `tokenizer_config.json` that names some slots after `base`. */
export function specialNames(base: number, names: Readonly<Record<number, string>>): Record<string, unknown> {
  const entries = Object.entries(names).map(([slot, content]) => [
    `${base + Number(slot)}`,
    { content, special: true },
  ]);
  return { added_tokens_decoder: Object.fromEntries(entries) };
}

/** Names of a thinking model of the family, by slot. */
export const kimiNames: Readonly<Record<number, string>> = {
  0: '[BOS]',
  1: '[EOS]',
  2: '<|im_end|>',
  3: '<|im_user|>',
  4: '<|im_assistant|>',
  10: '<|im_system|>',
  11: '<|tool_calls_section_begin|>',
  12: '<|tool_calls_section_end|>',
  13: '<|tool_call_begin|>',
  14: '<|tool_call_argument_begin|>',
  15: '<|tool_call_end|>',
  17: '<|im_middle|>',
  22: '<think>',
  23: '</think>',
  254: '[UNK]',
  255: '[PAD]',
};

/** The same tokens as a `tokenizer.json`: each token's merge is found by encoding it with the tokens before it. */
export function convertToJson(tokens: readonly string[], pattern: string): Record<string, unknown> {
  const ranks = new Map(tokens.map((token, rank) => [token, rank]));
  const merges = tokens.slice(256).map((token, index) => splitInTwo(token, ranks, 256 + index).map(spell));
  return {
    added_tokens: [{ id: tokens.length, content: '<|end|>', special: true }],
    normalizer: null,
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((token, rank) => [spell(token), rank])),
      merges,
      ignore_merges: true,
    },
  };
}

function splitInTwo(token: string, ranks: ReadonlyMap<string, number>, below: number): readonly string[] {
  const parts = [...token];
  while (parts.length > 2) {
    const rankAt = (at: number): number => ranks.get(`${parts[at]}${parts[at + 1]}`) ?? below;
    const best = parts.slice(1).reduce((least, _, at) => (rankAt(at) < rankAt(least) ? at : least), 0);
    if (rankAt(best) >= below) throw new Error(`token ${JSON.stringify(token)} is not made of two earlier ones`);
    parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`);
  }
  return parts;
}

/** Latin-1 text in the byte alphabet of GPT-2. */
function spell(token: string): string {
  return [...token].map((character) => byteAlphabet[character.charCodeAt(0)]).join('');
}

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
const byteAlphabet: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  if (isPrintable(byte)) return String.fromCharCode(byte);
  const place = Array.from({ length: byte }, (__, before) => before).filter((before) => !isPrintable(before)).length;
  return String.fromCharCode(0x100 + place);
});
