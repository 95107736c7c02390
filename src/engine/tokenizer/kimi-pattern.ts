/** Letters that may begin a word in capitals, and those that may go on in small ones; Chinese characters are apart. */
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]';
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

/** How the Kimi family splits text before encoding; its `tiktoken.model` does not say. As Oniguruma would read it. */
export const kimiPattern = [
  '[\\p{Han}]+',
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${contraction}?`,
  `[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${contraction}?`,
  '\\p{N}{1,3}',
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*',
  '\\s*[\\r\\n]+',
  '\\s+(?!\\S)',
  '\\s+',
].join('|');
