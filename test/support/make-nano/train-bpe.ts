/** A merge as the bytes of both parts, in Latin-1 text. */
export type TrainedMerge = readonly [left: string, right: string];

interface Word {
  parts: string[];
  readonly occurrences: number;
}

/**
 * Byte pair training: the most frequent adjacent pair becomes a token, again and again.
 * Equal counts: the pair whose parts come first by bytes, so that the same text gives the same tokens everywhere.
 * @param pieces pre-tokenized text; merges never cross a piece.
 */
export function trainBytePairs(pieces: Iterable<string>, mergeTotal: number): readonly TrainedMerge[] {
  const words = countWords(pieces);
  const counts = new Map<string, number>();
  const wordsOf = new Map<string, Set<number>>();
  for (const index of words.keys()) addPairs(words, index, counts, wordsOf);
  const merges: TrainedMerge[] = [];
  while (merges.length < mergeTotal) {
    const key = findMostFrequent(counts);
    // a pair seen once teaches nothing: the text is too short for the vocabulary asked for
    if (key === undefined) throw new Error(`text gives ${merges.length} merges, ${mergeTotal} wanted: add text`);
    const [left = '', right = ''] = key.split(separator);
    merges.push([left, right]);
    for (const index of wordsOf.get(key) ?? []) {
      removePairs(words, index, counts);
      mergeIn(words[index] as Word, left, right);
      addPairs(words, index, counts, wordsOf);
    }
    counts.delete(key);
    wordsOf.delete(key);
  }
  return merges;
}

/** No byte: Latin-1 text ends at U+00FF. */
const separator = '\u0100';

function countWords(pieces: Iterable<string>): Word[] {
  const occurrences = new Map<string, number>();
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'utf8').toString('latin1');
    occurrences.set(bytes, (occurrences.get(bytes) ?? 0) + 1);
  }
  return [...occurrences].map(([bytes, count]) => ({ parts: [...bytes], occurrences: count }));
}

function* pairsOf({ parts }: Word): Generator<string> {
  for (let at = 1; at < parts.length; at++) yield `${parts[at - 1]}${separator}${parts[at]}`;
}

function addPairs(
  words: readonly Word[],
  index: number,
  counts: Map<string, number>,
  wordsOf: Map<string, Set<number>>,
): void {
  const word = words[index] as Word;
  for (const pair of pairsOf(word)) {
    counts.set(pair, (counts.get(pair) ?? 0) + word.occurrences);
    const indexes = wordsOf.get(pair);
    if (indexes === undefined) wordsOf.set(pair, new Set([index]));
    else indexes.add(index);
  }
}

function removePairs(words: readonly Word[], index: number, counts: Map<string, number>): void {
  const word = words[index] as Word;
  for (const pair of pairsOf(word)) {
    const left = (counts.get(pair) ?? 0) - word.occurrences;
    if (left > 0) counts.set(pair, left);
    else counts.delete(pair);
  }
}

function mergeIn(word: Word, left: string, right: string): void {
  const parts: string[] = [];
  for (let at = 0; at < word.parts.length; at++) {
    const part = word.parts[at] as string;
    const isPair = part === left && word.parts[at + 1] === right;
    parts.push(isPair ? left + right : part);
    if (isPair) at++;
  }
  word.parts = parts;
}

function findMostFrequent(counts: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined;
  let bestCount = 1;
  for (const [pair, count] of counts) {
    if (count < bestCount || count === 1) continue;
    if (count > bestCount || best === undefined || isBefore(pair, best)) {
      best = pair;
      bestCount = count;
    }
  }
  return best;
}

/** Order of code units, which for Latin-1 is the order of bytes. */
function isBefore(a: string, b: string): boolean {
  return a < b;
}
