import { call, characters, choice, empty, never, repeat, sequence, text } from './fragments.ts';
import type { Fragment, Network, Rule } from './network.ts';
import { integerGrammar, numberGrammar } from './number-grammar.ts';

const unbounded = { minimum: null, maximum: null, exclusiveMinimum: null, exclusiveMaximum: null };

const hex = characters([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);
/** The first two digits of `\u`: anything but d8 … df, so that no half of a surrogate pair comes out. */
const highHex = choice([
  sequence(
    characters([
      [0x30, 0x39],
      [0x41, 0x43],
      [0x45, 0x46],
      [0x61, 0x63],
      [0x65, 0x66],
    ]),
    hex,
  ),
  sequence(
    characters([
      [0x44, 0x44],
      [0x64, 0x64],
    ]),
    characters([[0x30, 0x37]]),
  ),
]);
const character = choice([
  characters([
    [0x20, 0x21],
    [0x23, 0x5b],
    [0x5d, 0x10ffff],
  ]),
  sequence(text('\\'), choice([...'"\\/bfnrt'].map(text))),
  sequence(text('\\u'), highHex, hex, hex),
]);

/** A longer limit than this is left to the check of the finished value: each repetition is a state. */
export const maxCounted = 4096;

/** Rules every schema needs: characters, strings and values of any kind. Compact: no white space between tokens. */
export class JsonGrammar {
  readonly #network: Network;
  readonly #character: Rule;
  readonly #anyObject: Rule;
  readonly #anyArray: Rule;
  readonly #anyValue: Rule;

  constructor(network: Network) {
    this.#network = network;
    this.#character = this.rule(character);
    this.#anyValue = network.addRule();
    const value = call(this.#anyValue);
    this.#anyObject = this.rule(this.listOf('{', sequence(this.string(0, null), text(':'), value), 0, null, '}'));
    this.#anyArray = this.rule(this.listOf('[', value, 0, null, ']'));
    const { start, end } = this.#anyValue;
    choice(['string', 'number', 'boolean', 'null', 'object', 'array'].map((type) => this.any(type)))(
      network,
      start,
      end,
    );
  }

  /** A rule of its own for a part that is used more than once. */
  rule(fragment: Fragment): Rule {
    const rule = this.#network.addRule();
    fragment(this.#network, rule.start, rule.end);
    return rule;
  }

  value(): Fragment {
    return call(this.#anyValue);
  }

  /** Any value of a JSON schema type. */
  any(type: string): Fragment {
    switch (type) {
      case 'string':
        return this.string(0, null);
      case 'number':
        return numberGrammar(unbounded);
      case 'integer':
        return integerGrammar(unbounded);
      case 'boolean':
        return choice([text('true'), text('false')]);
      case 'object':
        return call(this.#anyObject);
      case 'array':
        return call(this.#anyArray);
      default:
        return text('null');
    }
  }

  /** @param max null or beyond `maxCounted`: any length */
  string(min: number, max: number | null): Fragment {
    if (max !== null && max < min) return never;
    const limit = max !== null && max <= maxCounted ? max : null;
    const body = repeat(call(this.#character), Math.min(min, maxCounted), limit);
    return sequence(text('"'), body, text('"'));
  }

  /** `open part,part,… close` with `min` to `max` parts. */
  listOf(open: string, part: Fragment, min: number, max: number | null, close: string): Fragment {
    if (max !== null && max < min) return never;
    const limit = max !== null && max <= maxCounted ? max : null;
    if (limit === 0) return text(`${open}${close}`);
    const item = call(this.rule(part));
    const more = repeat(
      sequence(text(','), item),
      Math.min(Math.max(min - 1, 0), maxCounted),
      limit === null ? null : limit - 1,
    );
    const filled = sequence(item, more);
    return sequence(text(open), min > 0 ? filled : choice([filled, empty]), text(close));
  }
}
