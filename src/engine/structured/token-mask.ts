import type { TokenTrie } from './token-trie.ts';

/** Up to so many allowed tokens are kept as a list: as long as the bits of a large vocabulary at the most. */
const listedTokens = 1024;

/** The tokens that may come next: as a list of ids, or one bit a token in the order of the trie. */
export type TokenMask =
  | { readonly type: 'listed'; readonly ids: Int32Array }
  | { readonly type: 'bits'; readonly bits: Uint32Array; readonly allowedTotal: number };

/** Keeps the bits when there are too many tokens for a list. */
export function buildMask(bits: Uint32Array, trie: TokenTrie): TokenMask {
  const allowedTotal = bits.reduce((total, word) => total + countBits(word), 0);
  if (allowedTotal > listedTokens) return { type: 'bits', bits, allowedTotal };
  const ids = new Int32Array(allowedTotal);
  let count = 0;
  forEachBit(bits, 0, (token) => {
    ids[count++] = trie.ids[token] as number;
  });
  return { type: 'listed', ids };
}

export function maskBytes(mask: TokenMask): number {
  return mask.type === 'bits' ? mask.bits.byteLength : mask.ids.byteLength;
}

/** For the logits while others are overwritten; one at a time, since nothing here waits. */
let scratch = new Float32Array(0);

/**
 * Sets every logit to -Infinity but those of the mask's tokens and of `others`.
 * @param logits one a row of the model's head, which may have more rows than the tokenizer has tokens
 */
export function applyMask(logits: Float32Array, mask: TokenMask, trie: TokenTrie, others: readonly number[]): void {
  if (mask.type === 'listed') {
    keepOnly(logits, others.length === 0 ? mask.ids : [...mask.ids, ...others]);
    return;
  }
  const kept = others.map((id) => logits[id]);
  if (mask.allowedTotal * 2 > trie.ids.length) removeOthers(logits, mask.bits, trie);
  else keepBits(logits, mask.bits, trie);
  restore(logits, others, kept);
}

/** The cheaper way when most tokens are allowed. */
function removeOthers(logits: Float32Array, bits: Uint32Array, { ids, textless, vocabularySize }: TokenTrie): void {
  forEachBit(bits, 0xffffffff, (token) => {
    // the last word has bits without a token
    if (token < ids.length) logits[ids[token] as number] = Number.NEGATIVE_INFINITY;
  });
  for (let index = 0; index < textless.length; index++) logits[textless[index] as number] = Number.NEGATIVE_INFINITY;
  logits.fill(Number.NEGATIVE_INFINITY, vocabularySize);
}

/** The cheaper way when few are. */
function keepBits(logits: Float32Array, bits: Uint32Array, { ids }: TokenTrie): void {
  if (scratch.length < logits.length) scratch = new Float32Array(logits.length);
  const all = scratch;
  all.set(logits);
  logits.fill(Number.NEGATIVE_INFINITY);
  forEachBit(bits, 0, (token) => {
    const id = ids[token] as number;
    logits[id] = all[id] as number;
  });
}

/** Sets every logit to -Infinity but those of `ids`. */
export function keepOnly(logits: Float32Array, ids: ArrayLike<number>): void {
  const kept = Array.from(ids, (id) => logits[id]);
  logits.fill(Number.NEGATIVE_INFINITY);
  restore(logits, ids, kept);
}

function restore(logits: Float32Array, ids: ArrayLike<number>, kept: readonly (number | undefined)[]): void {
  for (let index = 0; index < ids.length; index++) {
    const logit = kept[index];
    if (logit !== undefined) logits[ids[index] as number] = logit;
  }
}

/** Calls `use` with each bit that is set, or not set when `inverted` is all ones. */
function forEachBit(bits: Uint32Array, inverted: number, use: (bit: number) => void): void {
  for (let word = 0; word < bits.length; word++) {
    for (let rest = (bits[word] as number) ^ inverted; rest !== 0; rest &= rest - 1) {
      use(word * 32 + 31 - Math.clz32(rest & -rest));
    }
  }
}

function countBits(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
