import { type CodeRange, characters, choice, empty, repeat, sequence, text } from './fragments.ts';
import type { Fragment } from './network.ts';

/**
 * JSON strings whose text matches an ECMAScript pattern, as the part between the quotes: quotes, backslashes and control
 * characters of the text appear as their escapes.
 */

/** Copies that repetitions may make of the parts of one pattern. */
const maxParts = 4000;
const maxCode = 0x10ffff;
const digits: readonly CodeRange[] = [[0x30, 0x39]];
const wordCharacters: readonly CodeRange[] = [...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const lineEnds: readonly CodeRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const spaces: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const anything: readonly CodeRange[] = [[0, maxCode]];

/** Characters with an escape of two letters; of the other control characters none is written. */
const escapes: ReadonlyMap<number, string> = new Map([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
]);

/** Undefined when the pattern uses what a grammar cannot follow (lookaround, references, inner anchors, properties) or repeats too much. */
export function compilePattern(pattern: string): Fragment | undefined {
  try {
    return new PatternParser(pattern).parse();
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

class Unsupported extends Error {}

interface Part {
  readonly fragment: Fragment;
  /** Copies of simple parts in it. */
  readonly parts: number;
}

/** One character of the set, as it stands in a JSON string. */
function jsonCharacter(ranges: readonly CodeRange[]): Fragment {
  const raw = subtract(ranges, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]);
  const escaped = [...escapes].filter(([code]) => ranges.some(([low, high]) => low <= code && code <= high));
  return choice([characters(raw), ...escaped.map(([, letters]) => text(letters))]);
}

function subtract(ranges: readonly CodeRange[], removed: readonly CodeRange[]): readonly CodeRange[] {
  return removed.reduce<readonly CodeRange[]>(
    (kept, [low, high]) =>
      kept.flatMap(([first, last]): CodeRange[] => {
        if (last < low || first > high) return [[first, last]];
        const outside: CodeRange[] = [
          [first, low - 1],
          [high + 1, last],
        ];
        return outside.filter(([from, to]) => from <= to);
      }),
    ranges,
  );
}

class PatternParser {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(pattern: string) {
    this.#characters = [...pattern];
  }

  parse(): Fragment {
    const alternatives: Fragment[] = [];
    do alternatives.push(this.#takeAlternative());
    while (this.#skip('|'));
    if (this.#at < this.#characters.length) throw new Unsupported();
    return choice(alternatives);
  }

  /** At the top an alternative may be anchored; where it is not, any text goes before and behind. */
  #takeAlternative(): Fragment {
    const isStart = this.#skip('^');
    const body = this.#takeSequence();
    const isEnd = this.#skip('$');
    const around = repeat(jsonCharacter(anything), 0, null);
    return sequence(isStart ? empty : around, body.fragment, isEnd ? empty : around);
  }

  #takeSequence(): Part {
    const parts: Part[] = [];
    for (let next = this.#peek(); next !== '' && !'|)$'.includes(next); next = this.#peek()) {
      parts.push(this.#takeQuantified());
    }
    return join(parts, (fragments) => sequence(...fragments));
  }

  #takeQuantified(): Part {
    const { fragment, parts } = this.#takeAtom();
    const [min, max] = this.#takeQuantifier();
    const total = parts * Math.max(1, max ?? min + 1);
    if (total > maxParts) throw new Unsupported();
    return min === 1 && max === 1 ? { fragment, parts } : { fragment: repeat(fragment, min, max), parts: total };
  }

  #takeQuantifier(): readonly [number, number | null] {
    const rest = this.#characters.slice(this.#at, this.#at + 24).join('');
    const match = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(rest);
    if (match === null) return [1, 1];
    this.#at += match[0].length;
    const [, sign, minText, comma, maxText] = match;
    if (sign !== undefined) return [sign === '+' ? 1 : 0, sign === '?' ? 1 : null];
    const min = Number(minText);
    if (comma === '') return [min, min];
    return [min, maxText === '' ? null : Number(maxText)];
  }

  #takeAtom(): Part {
    const character = this.#take();
    if (character === '(') return this.#takeGroup();
    if (character === '.') return one(subtract(anything, lineEnds));
    if (character === '[') return one(this.#takeClass());
    if (character === '\\') return one(this.#takeEscape());
    if ('^$*+?{'.includes(character)) throw new Unsupported();
    return one(single(character));
  }

  #takeGroup(): Part {
    if (this.#skip('?') && !this.#skip(':')) this.#skipGroupName();
    const alternatives: Part[] = [];
    do alternatives.push(this.#takeSequence());
    while (this.#skip('|'));
    if (!this.#skip(')')) throw new Unsupported();
    return join(alternatives, choice);
  }

  /** `(?<name>…)` groups like any other; every other `(?…` looks around or changes flags. */
  #skipGroupName(): void {
    if (!this.#skip('<') || /[=!]/.test(this.#peek())) throw new Unsupported();
    while (this.#take() !== '>');
  }

  #takeClass(): readonly CodeRange[] {
    const isNegated = this.#skip('^');
    const ranges: CodeRange[] = [];
    while (!this.#skip(']')) {
      const first = this.#takeMember();
      const [low] = first[0] ?? [0];
      const isRange = this.#peek() === '-' && this.#characters[this.#at + 1] !== ']';
      if (!isRange || first.length !== 1) {
        ranges.push(...first);
        continue;
      }
      this.#at++;
      const [last] = this.#takeMember();
      if (last === undefined) throw new Unsupported();
      ranges.push([low, last[1]]);
    }
    return isNegated ? subtract(anything, ranges) : ranges;
  }

  #takeMember(): readonly CodeRange[] {
    const character = this.#take();
    return character === '\\' ? this.#takeEscape() : single(character);
  }

  #takeEscape(): readonly CodeRange[] {
    const letter = this.#take();
    const set = { d: digits, w: wordCharacters, s: spaces }[letter.toLowerCase()];
    if (set !== undefined) return letter === letter.toLowerCase() ? set : subtract(anything, set);
    const control = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b }[letter];
    if (control !== undefined) return [[control, control]];
    if (letter === 'x') return this.#takeHex(2);
    if (letter === 'u') return this.#skip('{') ? this.#takeBracedHex() : this.#takeHex(4);
    if (/[A-Za-z0-9]/.test(letter)) throw new Unsupported();
    return single(letter);
  }

  #takeHex(length: number): readonly CodeRange[] {
    const code = Number.parseInt(this.#characters.slice(this.#at, this.#at + length).join(''), 16);
    this.#at += length;
    // half of a surrogate pair: what it means depends on its neighbour
    if (Number.isNaN(code) || (code >= 0xd800 && code <= 0xdfff)) throw new Unsupported();
    return [[code, code]];
  }

  #takeBracedHex(): readonly CodeRange[] {
    let hex = '';
    while (!this.#skip('}')) hex += this.#take();
    const code = Number.parseInt(hex, 16);
    if (!(code <= maxCode)) throw new Unsupported();
    return [[code, code]];
  }

  #peek(): string {
    return this.#characters[this.#at] ?? '';
  }

  #take(): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw new Unsupported();
    return character;
  }

  #skip(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }
}

function single(character: string): readonly CodeRange[] {
  const code = character.codePointAt(0) ?? 0;
  return [[code, code]];
}

function one(ranges: readonly CodeRange[]): Part {
  return { fragment: jsonCharacter(ranges), parts: 1 };
}

function join(parts: readonly Part[], combine: (fragments: readonly Fragment[]) => Fragment): Part {
  return {
    fragment: combine(parts.map(({ fragment }) => fragment)),
    parts: parts.reduce((total, part) => total + part.parts, 1),
  };
}
