import {
  add,
  compare,
  divide,
  type Fraction,
  formatFraction,
  fraction,
  isZero,
  multiply,
  negate,
  parseDecimal,
  remainder,
} from './fraction.ts';
import { refuse, show } from './tool.ts';

/**
 * Arithmetic on exact decimals and days: `+ - * / ( ) %`, `sum`, `avg`, `min`, `max`, `date("2026-03-01")`.
 * `%` behind a value that nothing follows but an operator, `)`, `,` or the end is a hundredth; between two values it is
 * the remainder. Days: date - date is a number, date + number a date.
 */
export type Quantity =
  | { readonly type: 'number'; readonly value: Fraction }
  /** Days since 1970-01-01. */
  | { readonly type: 'date'; readonly day: number };

/** Deeper nesting than any real expression has; the parser recurses. */
const maxDepth = 60;
const plainNumber = String.raw`\d+(?:\.\d+)?|\.\d+`;
const groupedNumber = String.raw`\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])`;
const tokenPattern = buildPattern(plainNumber);
/** With thousands separators, as documents write numbers. A call has commas of its own, so not beside letters. */
const groupedPattern = buildPattern(`${groupedNumber}|${plainNumber}`);

function buildPattern(number: string): RegExp {
  return new RegExp(String.raw`\s*(?:(${number})|([A-Za-z]+)|("[^"]*"|'[^']*')|([-+*/%(),]))`, 'y');
}

interface Token {
  readonly type: 'number' | 'name' | 'text' | 'sign' | 'end';
  readonly text: string;
  /** From 1, for messages. */
  readonly at: number;
}

/** @throws `input.invalid-request` naming the place and what is allowed there */
export function evaluate(expression: string): Quantity {
  return new Evaluator(splitTokens(expression)).evaluateAll();
}

export function formatQuantity(quantity: Quantity): string {
  return quantity.type === 'number' ? formatFraction(quantity.value) : formatDay(quantity.day);
}

function splitTokens(expression: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = expression.trimEnd().length;
  const pattern = /[A-Za-z"']/.test(expression) ? tokenPattern : groupedPattern;
  pattern.lastIndex = 0;
  while (pattern.lastIndex < end) {
    const start = pattern.lastIndex;
    const match = pattern.exec(expression);
    if (match === null) {
      const at = start + (/^\s*/.exec(expression.slice(start))?.[0].length ?? 0);
      const met = [...expression.slice(at)][0] ?? '';
      throw refuse(
        `${show(met)} at ${at + 1} is not understood; allowed: numbers, + - * / ( ) %, sum, avg, min, max, date("2026-03-01")`,
      );
    }
    const [whole, number, name, text, sign] = match;
    const found = number ?? name ?? text ?? sign ?? '';
    const type = number !== undefined ? 'number' : name !== undefined ? 'name' : text !== undefined ? 'text' : 'sign';
    tokens.push({
      type,
      text: type === 'number' ? found.replaceAll(',', '') : found,
      at: start + whole.length - found.length + 1,
    });
  }
  return [...tokens, { type: 'end', text: '', at: end + 1 }];
}

class Evaluator {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  evaluateAll(): Quantity {
    const value = this.#sum();
    if (this.#next.type === 'end') return value;
    const hint =
      this.#next.text === ',' ? '; thousands separators stand before each three digits, and not beside functions' : '';
    throw refuse(`${show(this.#next.text)} at ${this.#next.at} is not expected; an operator or the end is${hint}`);
  }

  get #next(): Token {
    return this.#tokens[this.#index] as Token;
  }

  #takes(...signs: readonly string[]): string | undefined {
    const { type, text } = this.#next;
    if (type !== 'sign' || !signs.includes(text)) return undefined;
    this.#index += 1;
    return text;
  }

  #expect(sign: string): void {
    if (this.#takes(sign) !== undefined) return;
    throw refuse(`${this.#describe()}; ${show(sign)} is expected`);
  }

  #describe(): string {
    const { type, text, at } = this.#next;
    return type === 'end' ? 'the expression ends early' : `${show(text)} at ${at} is not expected`;
  }

  #sum(): Quantity {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw refuse(`brackets are nested deeper than ${maxDepth}; split the expression`);
    let left = this.#product();
    for (let sign = this.#takes('+', '-'); sign !== undefined; sign = this.#takes('+', '-')) {
      const right = this.#product();
      left = sign === '+' ? plus(left, right) : minus(left, right);
    }
    this.#depth -= 1;
    return left;
  }

  #product(): Quantity {
    let left = this.#signed();
    for (let sign = this.#takes('*', '/', '%'); sign !== undefined; sign = this.#takes('*', '/', '%')) {
      const value = asNumber(left, sign);
      const right = asNumber(this.#signed(), sign);
      if (sign !== '*' && isZero(right)) throw refuse('division by 0; check the expression');
      const operate = sign === '*' ? multiply : sign === '/' ? divide : remainder;
      left = { type: 'number', value: operate(value, right) };
    }
    return left;
  }

  #signed(): Quantity {
    let isNegative = false;
    for (let sign = this.#takes('+', '-'); sign !== undefined; sign = this.#takes('+', '-')) {
      if (sign === '-') isNegative = !isNegative;
    }
    let quantity = this.#single();
    while (this.#isHundredth()) {
      this.#index += 1;
      quantity = { type: 'number', value: divide(asNumber(quantity, '%'), fraction(100n, 1n)) };
    }
    return isNegative ? { type: 'number', value: negate(asNumber(quantity, '-')) } : quantity;
  }

  /** A `%` that no value follows. */
  #isHundredth(): boolean {
    if (this.#next.type !== 'sign' || this.#next.text !== '%') return false;
    const after = this.#tokens[this.#index + 1];
    return after === undefined || after.type === 'end' || (after.type === 'sign' && after.text !== '(');
  }

  #single(): Quantity {
    const token = this.#next;
    if (this.#takes('(') !== undefined) {
      const value = this.#sum();
      this.#expect(')');
      return value;
    }
    if (token.type === 'number') {
      this.#index += 1;
      return { type: 'number', value: parseDecimal(token.text) };
    }
    if (token.type === 'name') {
      this.#index += 1;
      return this.#call(token);
    }
    throw refuse(`${this.#describe()}; a number, a function or "(" is`);
  }

  #call({ text, at }: Token): Quantity {
    const name = text.toLowerCase();
    if (name === 'date') return this.#date();
    const combine = functions.get(name);
    if (combine === undefined) {
      throw refuse(`${show(text)} at ${at} is no function; allowed: ${[...functions.keys()].join(', ')}, date`);
    }
    this.#expect('(');
    const values = [this.#sum()];
    while (this.#takes(',') !== undefined) values.push(this.#sum());
    this.#expect(')');
    return combine(values);
  }

  #date(): Quantity {
    this.#expect('(');
    const token = this.#next;
    if (token.type !== 'text') throw refuse(`${this.#describe()}; date takes text such as "2026-03-01"`);
    this.#index += 1;
    this.#expect(')');
    return { type: 'date', day: parseDay(token.text.slice(1, -1)) };
  }
}

const functions: ReadonlyMap<string, (values: readonly Quantity[]) => Quantity> = new Map([
  ['sum', (values) => ({ type: 'number', value: total(values, 'sum') })],
  ['avg', (values) => ({ type: 'number', value: divide(total(values, 'avg'), fraction(BigInt(values.length), 1n)) })],
  ['min', (values) => values.reduce((least, one) => (order(one, least) < 0 ? one : least))],
  ['max', (values) => values.reduce((most, one) => (order(one, most) > 0 ? one : most))],
]);

function total(values: readonly Quantity[], name: string): Fraction {
  return values.map((one) => asNumber(one, name)).reduce(add);
}

function order(left: Quantity, right: Quantity): number {
  if (left.type === 'date' && right.type === 'date') return left.day - right.day;
  return compare(asNumber(left, 'a comparison with a number'), asNumber(right, 'a comparison with a number'));
}

function asNumber(quantity: Quantity, where: string): Fraction {
  if (quantity.type === 'number') return quantity.value;
  throw refuse(`a date stands in ${where}; dates are compared, subtracted, or moved by a number of days`);
}

function plus(left: Quantity, right: Quantity): Quantity {
  if (left.type === 'date') return moveDay(left.day, asNumber(right, '+'));
  if (right.type === 'date') return moveDay(right.day, left.value);
  return { type: 'number', value: add(left.value, right.value) };
}

function minus(left: Quantity, right: Quantity): Quantity {
  if (left.type === 'number') return { type: 'number', value: add(left.value, negate(asNumber(right, '-'))) };
  if (right.type === 'number') return moveDay(left.day, negate(right.value));
  return { type: 'number', value: fraction(BigInt(left.day - right.day), 1n) };
}

const dayMs = 86_400_000;
/** The calendar days that four digits of a year can write. */
const firstDay = Date.parse('0001-01-01T00:00:00Z') / dayMs;
const lastDay = Date.parse('9999-12-31T00:00:00Z') / dayMs;

function moveDay(day: number, by: Fraction): Quantity {
  if (by.denominator !== 1n) throw refuse(`a date is moved by ${formatFraction(by)} days; give a whole number`);
  const moved = day + Number(by.numerator);
  if (moved < firstDay || moved > lastDay)
    throw refuse('a date lies outside the years 1 to 9999; check the expression');
  return { type: 'date', day: moved };
}

function parseDay(text: string): number {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text.trim());
  const day = match === null ? Number.NaN : Date.parse(`${match[0]}T00:00:00Z`) / dayMs;
  if (!Number.isInteger(day) || formatDay(day) !== match?.[0] || day < firstDay) {
    throw refuse(`date ${show(text)} is not a day of the calendar; write it as "2026-03-01"`);
  }
  return day;
}

function formatDay(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}
