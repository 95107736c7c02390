import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorCodes } from '../../src/base/error-codes.ts';

const document = readFileSync(new URL('../../src/base/ERRORS.md', import.meta.url), 'utf8');
const sections = [...document.matchAll(/^## (\S+)\nFamily (\w+), HTTP (\d+), `code` (\w+)\./gm)];

describe('error codes', () => {
  it('have one section each in ERRORS.md, with the same family, status and code', () => {
    const documented = sections.map(([, code, family, status, openaiCode]) => [
      code,
      family,
      Number(status),
      openaiCode,
    ]);
    const expected = Object.entries(errorCodes).map(([code, entry]) => [
      code,
      entry.family,
      entry.status,
      entry.openaiCode,
    ]);
    expect(documented).toEqual(expected);
  });

  it('are named after their family', () => {
    for (const [code, { family }] of Object.entries(errorCodes)) expect(code.startsWith(`${family}.`)).toBe(true);
  });

  it('give every input error a 4xx, and no other family of ours a 2xx or 3xx', () => {
    for (const { family, status } of Object.values(errorCodes)) {
      expect(status).toBeGreaterThanOrEqual(400);
      if (family === 'input') expect(status).toBeLessThan(500);
    }
  });
});
