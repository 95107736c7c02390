/**
 * BM25 over short texts (Robertson and Zaragoza 2009), with the usual k1 and b. Words are compared in lower case without
 * marks and plural endings; scripts without spaces are compared by pairs of characters.
 */
const k1 = 1.2;
const b = 0.75;
/** A word of a heading or of a table's header counts less than one of the text itself. */
const contextWeight = 0.5;

/** Words that every question has; they would let long passages win. */
const stopWords = new Set(
  'a an and are as at be by did do does for from had has have how in is it its of on or that the their there this to was were what when where which who whom whose why will with'.split(
    ' ',
  ),
);

const unspaced = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}';
const wordPattern = new RegExp(`[${unspaced}]+|(?:(?![${unspaced}])[\\p{L}\\p{N}])+(?:[.,](?=\\p{N})\\p{N}+)*`, 'gu');
const unspacedPattern = new RegExp(`^[${unspaced}]`, 'u');

/** Text → terms, in order, repeats kept. */
export function listTerms(text: string): readonly string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return (plain.match(wordPattern) ?? []).flatMap((word) => {
    if (unspacedPattern.test(word)) return listPairs(word);
    return stopWords.has(word) ? [] : [cutPlural(word)];
  });
}

function listPairs(word: string): readonly string[] {
  const characters = [...word];
  if (characters.length === 1) return characters;
  return characters.slice(1).map((character, index) => `${characters[index]}${character}`);
}

function cutPlural(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (word.length > 4 && /(?:s|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  return word.length > 3 && /[^s]s$/.test(word) ? word.slice(0, -1) : word;
}

export interface IndexedText {
  /** Term → weighted count. */
  readonly counts: ReadonlyMap<string, number>;
  readonly length: number;
}

export function indexText(text: string, context: readonly string[]): IndexedText {
  const counts = new Map<string, number>();
  const add = (found: readonly string[], weight: number): void => {
    for (const term of found) counts.set(term, (counts.get(term) ?? 0) + weight);
  };
  const terms = listTerms(text);
  add(terms, 1);
  for (const line of context) add(listTerms(line), contextWeight);
  return { counts, length: terms.length };
}

/** Scores of `texts` for the query, 0 where no term occurs. */
export function scoreTexts(query: string, texts: readonly IndexedText[]): readonly number[] {
  const terms = [...new Set(listTerms(query))];
  const mean = texts.reduce((sum, { length }) => sum + length, 0) / Math.max(texts.length, 1);
  const weights = terms.map((term) => {
    const having = texts.filter(({ counts }) => counts.has(term)).length;
    return Math.log(1 + (texts.length - having + 0.5) / (having + 0.5));
  });
  return texts.map(({ counts, length }) => {
    const normal = k1 * (1 - b + (b * length) / Math.max(mean, 1));
    return terms.reduce((score, term, index) => {
      const count = counts.get(term) ?? 0;
      return score + ((weights[index] ?? 0) * count * (k1 + 1)) / (count + normal);
    }, 0);
  });
}
