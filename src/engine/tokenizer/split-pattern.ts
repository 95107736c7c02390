import { AppError } from '../../base/errors.ts';

/**
 * Split patterns of tokenizer files are written for Oniguruma; this rewrites one for JavaScript:
 * `\s` becomes Unicode white space, `\p{Han}` a script property, `(?i:…)` letter classes, class intersections nested
 * sets. What has no equal in JavaScript is refused, never approximated.
 */
export function compileSplitPattern(source: string): RegExp {
  const rewriter = new Rewriter(source);
  const pattern = rewriter.rewrite();
  try {
    return new RegExp(pattern, rewriter.usesSets ? 'gv' : 'gu');
  } catch (error) {
    throw patternError(source, 'is not understood', error);
  }
}

/** What `\s` means in a split pattern; JavaScript's own lacks U+0085 and has U+FEFF. */
const whiteSpace = '\\p{White_Space}';
const notWhiteSpace = '\\P{White_Space}';
const scripts = ['Han', 'Hiragana', 'Katakana', 'Hangul', 'Thai', 'Arabic', 'Hebrew', 'Cyrillic', 'Greek', 'Latin'];
const keptEscapes = 'rntfv0dDpPu^$\\.*+?()[]{}|/';

/** Letters that fold to an ASCII letter although they are none. */
const foldsTo: Readonly<Record<string, string>> = { s: 'ſ', k: '\u212a' };

function patternError(source: string, what: string, cause?: unknown): AppError {
  return new AppError('input.model-folder', `tokenizer.json: split pattern ${what}: ${source}`, {
    details: { file: 'tokenizer.json', pattern: source },
    cause,
  });
}

class Rewriter {
  readonly #source: string;
  /** Class intersections need the `v` flag, whose syntax is stricter. */
  readonly usesSets: boolean;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
    this.usesSets = source.includes('&&');
  }

  rewrite(): string {
    let pattern = '';
    while (this.#at < this.#source.length) pattern += this.#takeAtom();
    return pattern;
  }

  #takeAtom(): string {
    if (this.#source.startsWith('(?i:', this.#at)) return this.#takeCaseless();
    if (/^\(\?(?![:=!<])/.test(this.#source.slice(this.#at, this.#at + 3))) throw this.#unsupported('(?');
    if (/^(?:[*+?]|\{\d+,?\d*\})\+/.test(this.#source.slice(this.#at, this.#at + 16))) {
      throw this.#unsupported('a possessive quantifier');
    }
    const character = this.#source.charAt(this.#at);
    if (character === '[') return this.#takeClass();
    if (character === '\\') return this.#takeEscape(false);
    this.#at++;
    // a closing bracket by itself is a literal in Oniguruma
    return character === ']' ? '\\]' : character;
  }

  #takeEscape(inClass: boolean): string {
    const name = this.#source.charAt(this.#at + 1);
    const property = /^\\[pP]\{(\^?)(\w+)\}/.exec(this.#source.slice(this.#at));
    if (property !== null) return this.#takeProperty(property);
    this.#at += 2;
    if (name === 's') return whiteSpace;
    if (name === 'S') return notWhiteSpace;
    if (name === 'd' || name === 'D') return name === 'd' ? '\\p{Nd}' : '\\P{Nd}';
    if (keptEscapes.includes(name) || (inClass && name === '-')) return `\\${name}`;
    if (/[\w]/.test(name)) throw this.#unsupported(`\\${name}`);
    return name;
  }

  #takeProperty(match: RegExpExecArray): string {
    const [text, caret, name = ''] = match;
    this.#at += text.length;
    const negated = text.startsWith('\\P') !== (caret === '^');
    return `\\${negated ? 'P' : 'p'}{${scripts.includes(name) ? `Script=${name}` : name}}`;
  }

  /** `[…]`, nested classes and `&&` included. */
  #takeClass(): string {
    this.#at++;
    let open = '[';
    if (this.#source.charAt(this.#at) === '^') {
      open = '[^';
      this.#at++;
    }
    const operands = [''];
    for (let first = true; ; first = false) {
      const character = this.#source.charAt(this.#at);
      if (character === '') throw patternError(this.#source, 'has an unclosed class');
      if (character === ']' && !first) break;
      if (this.#source.startsWith('&&', this.#at)) {
        this.#at += 2;
        operands.push('');
      } else {
        operands[operands.length - 1] += this.#takeMember(character);
      }
    }
    this.#at++;
    const [only = ''] = operands;
    if (operands.length === 1) return `${open}${only}]`;
    return `${open}${operands.map((operand) => `[${operand}]`).join('&&')}]`;
  }

  #takeMember(character: string): string {
    if (character === '[') return this.usesSets ? this.#takeClass() : this.#takeLiteral();
    if (character === '\\') return this.#takeEscape(true);
    return this.#takeLiteral();
  }

  #takeLiteral(): string {
    const character = this.#source.charAt(this.#at++);
    const mustEscape = this.usesSets ? '()[]{}/|&!#$%*+,.:;<=>?@^`~' : '[]';
    return mustEscape.includes(character) ? `\\${character}` : character;
  }

  /** `(?i:…)` over plain letters, quotes and alternatives, as contractions are written. */
  #takeCaseless(): string {
    const match = /^\(\?i:([A-Za-z'|]*)\)/.exec(this.#source.slice(this.#at));
    const body = match?.[1];
    if (match === null || body === undefined) throw this.#unsupported('(?i:…) around more than letters');
    this.#at += match[0].length;
    const folded = body.replace(/[A-Za-z]/g, (letter) => {
      const lower = letter.toLowerCase();
      return `[${lower}${lower.toUpperCase()}${foldsTo[lower] ?? ''}]`;
    });
    return `(?:${folded})`;
  }

  #unsupported(what: string): AppError {
    return patternError(this.#source, `uses ${what}, which is not supported`);
  }
}
