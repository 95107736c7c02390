import { describe, expect, it } from 'vitest';
import { kimiPattern } from '../../../../src/engine/tokenizer/kimi-pattern.ts';
import { compileSplitPattern } from '../../../../src/engine/tokenizer/split-pattern.ts';

const split = (pattern: string, text: string): readonly string[] => text.match(compileSplitPattern(pattern)) ?? [];

describe('compileSplitPattern', () => {
  it("splits by Kimi's pattern", () => {
    expect(split(kimiPattern, "IT'S 12345 abc漢字def HTTPServer, it's")).toEqual([
      "IT'S",
      ' ',
      '123',
      '45',
      ' abc',
      '漢字',
      'def',
      ' HTTPServer',
      ',',
      " it's",
    ]);
  });

  it('covers all text with it', () => {
    const text = ' \u0085x\ufeff\u2003\r\n\r\n  é\u0301 ǅ ٣½ 👍🏽 \t東京タワー!?\n';
    expect(split(kimiPattern, text).join('')).toBe(text);
  });

  it('means Unicode white space, which is not what JavaScript means', () => {
    expect(split('\\s+', 'a\u0085b\ufeffc')).toEqual(['\u0085']);
    expect(split('[^\\s]+', 'a\u0085b\ufeffc')).toEqual(['a', 'b\ufeffc']);
  });

  it('folds case as Oniguruma does, the long s included', () => {
    expect(split("(?i:'s|'ll)", "'S 'ſ 'Ll 'x")).toEqual(["'S", "'ſ", "'Ll"]);
  });

  it.each([
    ['an atomic group', '(?>a)'],
    ['a possessive quantifier', 'a?+b'],
    ['a flag over groups', '(?i:(a|b))'],
    ['an anchor of its own', '\\Aa'],
    ['an unclosed class', '[a'],
    ['an unclosed group', '(a'],
  ])('rejects %s', (_, pattern) => {
    expect(() => compileSplitPattern(pattern)).toThrowError(expect.objectContaining({ code: 'input.model-folder' }));
  });
});
