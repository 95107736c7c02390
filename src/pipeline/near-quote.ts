/**
 * Where a quote that is not word for word on its page was meant to be: models change small words as they copy. Found by
 * local alignment of words (Smith and Waterman 1981), and refused wherever a reader could doubt it.
 */

/** Half-open range of characters. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

interface Word extends Range {
  readonly text: string;
}

const scoreOf = { same: 4, skipped: -1 };
/** Least share of the quote's words that stand at the place, and the least number of them. */
const leastShare = 0.7;
const leastWords = 3;
/** Words of a page beyond which nothing is looked for: the table has a cell for each with each of the quote. */
const mostPageWords = 20_000;
const mostQuoteWords = 120;

/**
 * The one place of `text` that has most of the quote's words in order and all of its numbers. Undefined when there is
 * none, or when two places would do equally well.
 */
export function findNearQuote(text: string, quote: string): Range | undefined {
  const [page, said] = [splitWords(text), splitWords(quote)];
  if (page.length > mostPageWords || said.length > mostQuoteWords || said.length < leastWords) return undefined;
  const places = align(page, said);
  const best = Math.max(0, ...places.map(({ score }) => score));
  const top = places.filter(({ score, matched }) => score === best && matched >= leastShare * said.length);
  const [first] = top;
  if (first === undefined) return undefined;
  if (top.some(({ from }) => from !== first.from)) return undefined;
  const found = page.slice(first.from, first.to);
  const numbers = said.filter((word) => /\p{N}/u.test(word.text));
  if (!numbers.every((number) => found.some((word) => word.text === number.text))) return undefined;
  return { start: found[0]?.start ?? 0, end: found.at(-1)?.end ?? 0 };
}

interface Place {
  readonly score: number;
  readonly matched: number;
  /** Half-open range of page words; both ends are words of the quote. */
  readonly from: number;
  readonly to: number;
}

/** Nothing aligned yet. Most cells are this one: few words of a page stand in a quote. */
const nothing: Place = { score: 0, matched: 0, from: 0, to: 0 };

/** For each page word that ends an alignment with a word of the quote, the best one that ends there. */
function align(page: readonly Word[], said: readonly Word[]): Place[] {
  const places: Place[] = [];
  let above: Place[] = said.map(() => nothing);
  page.forEach((word, row) => {
    let ends = nothing;
    const current: Place[] = [];
    said.forEach((wanted, column) => {
      let cell = better(skip(above[column] ?? nothing), skip(current[column - 1] ?? nothing));
      if (word.text === wanted.text) {
        const joined = join(above[column - 1] ?? nothing, row);
        cell = better(joined, cell);
        ends = better(ends, joined);
      }
      current.push(cell);
    });
    if (ends !== nothing) places.push(ends);
    above = current;
  });
  return places;
}

/** With a word more that is the same on both sides. */
function join(before: Place, row: number): Place {
  const from = before === nothing ? row : before.from;
  return { score: before.score + scoreOf.same, matched: before.matched + 1, from, to: row + 1 };
}

/** With a word left out on one side; an alignment that is worth no more than none ends. */
function skip(place: Place): Place {
  const score = place.score + scoreOf.skipped;
  return score > 0 ? { ...place, score } : nothing;
}

function better(a: Place, b: Place): Place {
  return b.score > a.score ? b : a;
}

/** Words and numbers in lower case: punctuation and case may differ, `4,200` and `2026-05-01` stay one. */
function splitWords(text: string): Word[] {
  return [...text.matchAll(/[\p{L}\p{N}]+(?:[.,:/-][\p{L}\p{N}]+)*/gu)].map((match) => ({
    text: match[0].toLowerCase(),
    start: match.index,
    end: match.index + match[0].length,
  }));
}
