import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCalculate } from '../../../../src/pipeline/tools/calculate.ts';
import { buildToolRegistry } from '../../../../src/pipeline/tools/registry.ts';

const registry = buildToolRegistry([buildCalculate()]);
const calculate = (expression: string): string => registry.call('calculate', JSON.stringify({ expression }));

describe('calculate', () => {
  it.each([
    ['0.1 + 0.2', '0.3'],
    ['1 - 0.9', '0.1'],
    ['21200 + 16750', '37950'],
    ['127.4 - 108.9', '18.5'],
    ['1,000 + 2', '1002'],
    [' 4,270,000 + 46,000.5 + 7', '4316007.5'],
    ['(1,200 + 300) * 10 %', '150'],
    ['sum(1,200)', '201'],
    ['2 + 3 * 4', '14'],
    ['(2 + 3) * 4', '20'],
    ['8 / 2 / 2', '2'],
    ['10 - 4 - 3', '3'],
    ['-3 * -(2 + 1)', '9'],
    ['1 / 8', '0.125'],
    ['1 / 3', '0.333333333333'],
    ['2 / 3', '0.666666666667'],
    ['-2 / 3', '-0.666666666667'],
    ['.5 + 007', '7.5'],
    ['123456789012345678901234567890 * 10', '1234567890123456789012345678900'],
    ['1 / 1000000000000000', '0.000000000000001'],
    ['-0', '0'],
    ['-1 / 30000000000000', '0'],
  ])('%s is %s', (expression, value) => {
    expect(calculate(expression)).toBe(value);
  });

  it.each([
    ['15 %', '0.15'],
    ['200 * 15 %', '30'],
    ['(5 + 5) % * 200', '20'],
    ['100 + 5 % - 3', '97.05'],
    ['17 % 5', '2'],
    ['-7 % 3', '2'],
    ['7.5 % 2', '1.5'],
    ['max(10 %, 5 %)', '0.1'],
  ])('reads %% as a hundredth or as a remainder: %s is %s', (expression, value) => {
    expect(calculate(expression)).toBe(value);
  });

  it.each([
    ['sum(1, 2, 3.5)', '6.5'],
    ['avg(1, 2)', '1.5'],
    ['AVG(10, 20, 31)', '20.333333333333'],
    ['min(3, -2, 8) + max(1, 2)', '0'],
    ['max(date("2026-03-01"), date("2025-12-31"))', '2026-03-01'],
  ])('%s is %s', (expression, value) => {
    expect(calculate(expression)).toBe(value);
  });

  it.each([
    ['date("2026-03-01") - date("2026-02-01")', '28'],
    ['date("2024-03-01") - date("2024-02-01")', '29'],
    ['date("2026-12-31") + 1', '2027-01-01'],
    ["30 + date('2026-03-01')", '2026-03-31'],
    ['date("2026-03-01") - 60', '2025-12-31'],
    ['(date("2026-03-01") - date("2026-02-01")) / 7', '4'],
  ])('counts days: %s is %s', (expression, value) => {
    expect(calculate(expression)).toBe(value);
  });

  it.each([
    ['1 +', 'error: the expression ends early; a number, a function or "(" is'],
    ['(1', 'error: the expression ends early; ")" is expected'],
    ['1 / 0', 'error: division by 0; check the expression'],
    ['1 % 0.0', 'error: division by 0; check the expression'],
    ['1 2', 'error: "2" at 3 is not expected; an operator or the end is'],
    [
      '1,00 + 2',
      'error: "," at 2 is not expected; an operator or the end is; thousands separators stand before each three digits, and not beside functions',
    ],
    ['1,0000', 'error: "," at 2 is not expected'],
    ['1,000,00', 'error: "," at 2 is not expected'],
    ['1000,000', 'error: "," at 5 is not expected'],
    ['1,000 + max(2, 3)', 'error: "," at 2 is not expected'],
    ['sqrt(4)', 'error: "sqrt" at 1 is no function; allowed: sum, avg, min, max, date'],
    ['2 ^ 3', 'error: "^" at 3 is not understood'],
    ['sum()', 'error: ")" at 5 is not expected; a number, a function or "(" is'],
    ['date(2026)', 'error: "2026" at 6 is not expected; date takes text such as "2026-03-01"'],
    ['date("2026-02-30")', 'error: date "2026-02-30" is not a day of the calendar; write it as "2026-03-01"'],
    ['date("0000-01-01")', 'error: date "0000-01-01" is not a day of the calendar'],
    ['date("2026-03-01") + 0.5', 'error: a date is moved by 0.5 days; give a whole number'],
    ['date("2026-03-01") * 2', 'error: a date stands in *; dates are compared'],
    ['max(1, date("2026-03-01"))', 'error: a date stands in a comparison with a number'],
    ['date("9999-12-31") + 1', 'error: a date lies outside the years 1 to 9999'],
    ['date("2026-03-01") + 99999999999999999999', 'error: a date lies outside the years 1 to 9999'],
    [`${'('.repeat(100)}1${')'.repeat(100)}`, 'error: brackets are nested deeper than 60; split the expression'],
    ['💥', 'error: "💥" at 1 is not understood'],
    ['   ', 'error: expression is " "; give text'],
  ])('refuses %s in one line', (expression, message) => {
    const answer = calculate(expression);
    expect(answer.startsWith(message)).toBe(true);
    expect(answer).not.toContain('\n');
  });

  it('has no rounding of binary fractions: sums of cents are sums of whole numbers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -1_000_000, max: 1_000_000 }), { minLength: 1, maxLength: 20 }),
        (cents) => {
          const written = cents.map(
            (one) =>
              `${one < 0 ? '-' : ''}${Math.floor(Math.abs(one) / 100)}.${String(Math.abs(one) % 100).padStart(2, '0')}`,
          );
          const total = cents.reduce((sum, one) => sum + one, 0);
          expect(calculate(`sum(${written.join(', ')}) * 100`)).toBe(String(total === 0 ? 0 : total));
          expect(calculate(`(${written.join(' + ')}) * 100`)).toBe(String(total === 0 ? 0 : total));
        },
      ),
    );
  });

  it('undoes a division by a multiplication', () => {
    fc.assert(
      fc.property(fc.integer({ min: -9999, max: 9999 }), fc.integer({ min: 1, max: 9999 }), (left, right) => {
        expect(calculate(`${left} / ${right} * ${right}`)).toBe(String(left === 0 ? 0 : left));
      }),
    );
  });

  it('answers any text with one line', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[-+*/%(),.\d\s"a-z]{0,40}$/), (expression) => {
        expect(calculate(expression)).toMatch(/^(?:error: .+|-?\d+(?:\.\d+)?|\d{4}-\d{2}-\d{2})$/);
      }),
      { numRuns: 500 },
    );
  });
});
