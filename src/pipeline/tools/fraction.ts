/** Exact rational numbers: 0.1 + 0.2 is 0.3, and nothing is lost before the value is written out. */
export interface Fraction {
  readonly numerator: bigint;
  /** Above 0; no common divisor with the numerator. */
  readonly denominator: bigint;
}

/** Decimal places of a value that has no end. */
const places = 12;
/** Decimal places of a value that has one: beyond them it is rounded too. */
const exactPlaces = 30;

export function fraction(numerator: bigint, denominator: bigint): Fraction {
  const sign = denominator < 0n ? -1n : 1n;
  const divisor = greatestDivisor(numerator < 0n ? -numerator : numerator, denominator * sign);
  return { numerator: (numerator * sign) / divisor, denominator: (denominator * sign) / divisor };
}

function greatestDivisor(left: bigint, right: bigint): bigint {
  let [a, b] = [left, right];
  while (b !== 0n) [a, b] = [b, a % b];
  return a === 0n ? 1n : a;
}

/** Digits with at most one point. */
export function parseDecimal(text: string): Fraction {
  const [whole = '', decimals = ''] = text.split('.');
  return fraction(BigInt(`${whole}${decimals}` || '0'), 10n ** BigInt(decimals.length));
}

export function add(left: Fraction, right: Fraction): Fraction {
  const { numerator, denominator } = right;
  return fraction(left.numerator * denominator + numerator * left.denominator, left.denominator * denominator);
}

export function negate({ numerator, denominator }: Fraction): Fraction {
  return { numerator: -numerator, denominator };
}

export function multiply(left: Fraction, right: Fraction): Fraction {
  return fraction(left.numerator * right.numerator, left.denominator * right.denominator);
}

/** The divisor must not be 0. */
export function divide(left: Fraction, right: Fraction): Fraction {
  return fraction(left.numerator * right.denominator, left.denominator * right.numerator);
}

/** What is left of a division into whole parts, with the sign of the divisor. The divisor must not be 0. */
export function remainder(left: Fraction, right: Fraction): Fraction {
  const whole = floor(divide(left, right));
  return add(left, negate(multiply({ numerator: whole, denominator: 1n }, right)));
}

function floor({ numerator, denominator }: Fraction): bigint {
  const quotient = numerator / denominator;
  return numerator < 0n && numerator % denominator !== 0n ? quotient - 1n : quotient;
}

export function compare(left: Fraction, right: Fraction): number {
  const difference = left.numerator * right.denominator - right.numerator * left.denominator;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function isZero({ numerator }: Fraction): boolean {
  return numerator === 0n;
}

/** The exact decimal where there is one of at most 30 places, else 12 places, halves away from zero. */
export function formatFraction(value: Fraction): string {
  const digits = countPlaces(value.denominator);
  const kept = digits === null || digits > exactPlaces ? places : digits;
  const scale = 10n ** BigInt(kept);
  const isNegative = value.numerator < 0n;
  const size = isNegative ? -value.numerator : value.numerator;
  const scaled = (2n * size * scale + value.denominator) / (2n * value.denominator);
  const text = scaled.toString().padStart(kept + 1, '0');
  const whole = text.slice(0, text.length - kept);
  const decimals = text.slice(text.length - kept).replace(/0+$/, '');
  const plain = decimals === '' ? whole : `${whole}.${decimals}`;
  return isNegative && scaled !== 0n ? `-${plain}` : plain;
}

/** Decimal places of a fraction with this denominator; null when they do not end. */
function countPlaces(denominator: bigint): number | null {
  let [rest, twos, fives] = [denominator, 0, 0];
  for (; rest % 2n === 0n; rest /= 2n) twos += 1;
  for (; rest % 5n === 0n; rest /= 5n) fives += 1;
  return rest === 1n ? Math.max(twos, fives) : null;
}
