import { characters, choice, empty, never, optional, repeat, sequence, text } from './fragments.ts';
import type { Fragment } from './network.ts';

/** JSON numbers as text. Lengths are bounded, so that a number always ends and always reads back as a finite one. */

export interface NumberBounds {
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly exclusiveMinimum: number | null;
  readonly exclusiveMaximum: number | null;
}

/** Every whole number of this many digits is exact as a double. */
const integerDigits = 15;
const fractionDigits = 15;
/** Bounded numbers have at most so many decimals, or as many as their bounds. */
const boundedDecimals = 6;

const digit = characters([[0x30, 0x39]]);
const minus = text('-');

const wholePart = choice([text('0'), sequence(characters([[0x31, 0x39]]), repeat(digit, 0, integerDigits - 1))]);

/** `-0` reads back as zero, which is whole. */
const anyInteger = sequence(optional(minus), wholePart);

const anyNumber = sequence(
  anyInteger,
  optional(sequence(text('.'), repeat(digit, 1, fractionDigits))),
  optional(
    sequence(
      characters([
        [0x45, 0x45],
        [0x65, 0x65],
      ]),
      optional(choice([text('+'), minus])),
      repeat(digit, 1, 2),
    ),
  ),
);

export function integerGrammar(bounds: NumberBounds): Fragment {
  return isUnbounded(bounds) ? anyInteger : decimalRange(bounds, 0);
}

/** With bounds: plain decimals without exponent. */
export function numberGrammar(bounds: NumberBounds): Fragment {
  if (isUnbounded(bounds)) return anyNumber;
  const wanted = Object.values(bounds).map((bound) => (bound === null ? 0 : parseDecimal(bound).decimals));
  const decimals = Math.min(Math.max(boundedDecimals, ...wanted), fractionDigits);
  return choice(Array.from({ length: decimals + 1 }, (_, count) => decimalRange(bounds, count)));
}

function isUnbounded(bounds: NumberBounds): boolean {
  return Object.values(bounds).every((bound) => bound === null);
}

/** All numbers within the bounds written with exactly `decimals` decimals. */
function decimalRange(bounds: NumberBounds, decimals: number): Fragment {
  const limit = 10n ** BigInt(integerDigits + decimals) - 1n;
  const low = largest([-limit, scaleUp(bounds.minimum, decimals, 0n), scaleUp(bounds.exclusiveMinimum, decimals, 1n)]);
  const high = -largest([
    -limit,
    scaleUp(negate(bounds.maximum), decimals, 0n),
    scaleUp(negate(bounds.exclusiveMaximum), decimals, 1n),
  ]);
  const options: Fragment[] = [];
  if (low < 0n) options.push(sequence(minus, scaledRange(high < 0n ? -high : 1n, -low, decimals)));
  if (high >= 0n) options.push(scaledRange(low > 0n ? low : 0n, high, decimals));
  return low > high ? never : choice(options);
}

function negate(bound: number | null): number | null {
  return bound === null ? null : -bound;
}

function largest(values: readonly (bigint | null)[]): bigint {
  return values.reduce<bigint>((top, value) => (value !== null && value > top ? value : top), values[0] ?? 0n);
}

/** The smallest whole number that is at least bound × 10^decimals; `above`: that exceeds it, when 1. */
function scaleUp(bound: number | null, decimals: number, above: 0n | 1n): bigint | null {
  if (bound === null) return null;
  const { units, decimals: places } = parseDecimal(bound);
  if (places <= decimals) return units * 10n ** BigInt(decimals - places) + above;
  const divisor = 10n ** BigInt(places - decimals);
  const quotient = units / divisor;
  const isExact = quotient * divisor === units;
  if (isExact) return quotient + above;
  return units > 0n ? quotient + 1n : quotient;
}

/** The number as it is written: units / 10^decimals. */
function parseDecimal(value: number): { readonly units: bigint; readonly decimals: number } {
  const [, sign = '', whole = '0', fraction = '', exponentText = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(value)) ?? [];
  const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n);
  const decimals = fraction.length - Number(exponentText);
  return decimals >= 0 ? { units: digits, decimals } : { units: digits * 10n ** BigInt(-decimals), decimals: 0 };
}

/** Whole numbers 0 ≤ low … high written with the point before the last `decimals` digits. */
function scaledRange(low: bigint, high: bigint, decimals: number): Fragment {
  const options: Fragment[] = [];
  const shortest = decimals + 1;
  for (let length = shortest; length <= Math.max(high.toString().length, shortest); length++) {
    // only the shortest form may begin with zeros: 0.05, not 00.5
    const least = length === shortest ? 0n : 10n ** BigInt(length - 1);
    const most = 10n ** BigInt(length) - 1n;
    const [first, last] = [low > least ? low : least, high < most ? high : most];
    if (first > last) continue;
    options.push(digitsBetween(pad(first, length), pad(last, length), decimals));
  }
  return choice(options);
}

function pad(value: bigint, length: number): string {
  return value.toString().padStart(length, '0');
}

/** Digit strings of one length between `low` and `high`; the point goes before the last `decimals` digits. */
function digitsBetween(low: string, high: string, decimals: number): Fragment {
  if (low === '') return empty;
  const point = decimals > 0 && low.length === decimals ? text('.') : empty;
  const rest = (from: string, to: string): Fragment => digitsBetween(from, to, decimals);
  const [lowTail, highTail] = [low.slice(1), high.slice(1)];
  const [lowest, highest] = ['0'.repeat(lowTail.length), '9'.repeat(lowTail.length)];
  const isWholeLow = lowTail === lowest;
  const isWholeHigh = highTail === highest;
  const [lowDigit, highDigit] = [low.charCodeAt(0), high.charCodeAt(0)];
  const options: Fragment[] = [];
  const add = (first: number, last: number, tail: Fragment): void => {
    if (first <= last) options.push(sequence(point, characters([[first, last]]), tail));
  };
  if (lowDigit === highDigit) {
    add(lowDigit, lowDigit, rest(lowTail, highTail));
  } else {
    if (!isWholeLow) add(lowDigit, lowDigit, rest(lowTail, highest));
    add(isWholeLow ? lowDigit : lowDigit + 1, isWholeHigh ? highDigit : highDigit - 1, rest(lowest, highest));
    if (!isWholeHigh) add(highDigit, highDigit, rest(lowest, highTail));
  }
  return choice(options);
}
