/** An earlier place whose tokens are the last ones of the text. */
export interface Match {
  /** Of the token that followed there. */
  readonly start: number;
  /** Equal tokens before it, 2 to `longestMatch`. */
  readonly length: number;
}

/** Beyond it one match is as good as another. */
export const longestMatch = 16;
/** Earlier places of the last three tokens that are compared, the latest first. */
const maxTries = 16;
const fewestHeads = 2 ** 10;
const mostHeads = 2 ** 17;

/**
 * Finds where the last tokens of a growing text stood before: the longest match, of equals the latest, the place where
 * the match before goes on before all. Places with the same three last tokens are chained by hash, as in deflate;
 * failing these, the latest place with the same two counts. 4 bytes a token and 8 a hash; some microseconds a token,
 * however long the text.
 */
export class NgramIndex {
  /** One more than the latest place whose hash this is; 0: none. */
  readonly #triples: Int32Array;
  readonly #pairs: Int32Array;
  /** Of each place, one more than the place before it with the same hash of three. */
  #before: Int32Array;
  #total = 0;
  #pairBefore = -1;
  /** The place found last, when there were so many tokens; -1: none. */
  #followed = -1;
  #followedTotal = 0;

  /** @param tokens how many there will be at least */
  constructor(tokens: number) {
    let heads = fewestHeads;
    while (heads < tokens && heads < mostHeads) heads *= 2;
    this.#triples = new Int32Array(heads);
    this.#pairs = new Int32Array(heads);
    this.#before = new Int32Array(Math.max(tokens, fewestHeads));
  }

  /** @param tokens the text, which has only grown since the last call */
  find(tokens: readonly number[]): Match | null {
    this.#add(tokens);
    const end = tokens.length - 1;
    let best = this.#followed < 0 ? -1 : this.#followed + tokens.length - this.#followedTotal;
    let length = best < 0 ? 0 : matchLength(tokens, best, end);
    if (length < 2) [best, length] = [-1, 1];
    let place = (this.#before[end] ?? 0) - 1;
    for (let tries = 0; place >= 0 && tries < maxTries && length < longestMatch; tries++) {
      // one that is longer differs neither here nor before
      if (tokens[place - length] === tokens[end - length]) {
        const found = matchLength(tokens, place, end);
        if (found > length) [best, length] = [place, found];
      }
      place = (this.#before[place] ?? 0) - 1;
    }
    if (length < 2 && this.#pairBefore >= 0) {
      length = matchLength(tokens, this.#pairBefore, end);
      best = length < 2 ? -1 : this.#pairBefore;
    }
    this.#followed = best;
    this.#followedTotal = tokens.length;
    return best < 0 ? null : { start: best + 1, length };
  }

  #add(tokens: readonly number[]): void {
    const total = tokens.length;
    if (total > this.#before.length) {
      const grown = new Int32Array(total * 2);
      grown.set(this.#before);
      this.#before = grown;
    }
    const mask = this.#triples.length - 1;
    for (let place = this.#total; place < total; place++) {
      if (place < 1) continue;
      const pair = mix(tokens[place - 1] ?? 0, tokens[place] ?? 0);
      this.#pairBefore = (this.#pairs[pair & mask] ?? 0) - 1;
      this.#pairs[pair & mask] = place + 1;
      if (place >= 2) {
        const triple = mix(pair, tokens[place - 2] ?? 0) & mask;
        this.#before[place] = this.#triples[triple] ?? 0;
        this.#triples[triple] = place + 1;
      }
    }
    this.#total = total;
  }
}

/**
 * What followed at a match; behind the end of the text it goes on with itself, so that a period is continued.
 * @param start below `tokens.length`
 */
export function readOn(tokens: readonly number[], start: number, total: number): readonly number[] {
  const period = tokens.length - start;
  return Array.from({ length: total }, (_, at) => tokens[start + (at % period)] ?? 0);
}

/** How many tokens up to `place` are those up to `end`, `longestMatch` at the most. */
function matchLength(tokens: readonly number[], place: number, end: number): number {
  let length = 0;
  while (length < longestMatch && length <= place && tokens[place - length] === tokens[end - length]) length++;
  return length;
}

function mix(one: number, other: number): number {
  const mixed = Math.imul(one, 0x9e3779b1) ^ Math.imul(other + 1, 0x85ebca77);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 12;
}
