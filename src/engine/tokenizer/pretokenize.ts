import { isJsonRecord, type JsonRecord, tokenizerFileError } from './file-error.ts';
import { compileSplitPattern } from './split-pattern.ts';

/** Text → pieces that are encoded apart; joined they are the text. */
export type Splitter = (text: string) => readonly string[];

/** What ByteLevel splits by when it is told to split (GPT-2). */
const byteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Longest text one pattern sees, and longest run of white space or of other characters in it (as Kimi's makers cut). */
const chunkCharacters = 400_000;
const runCharacters = 25_000;

/**
 * Builds the splitter that the `pre_tokenizer` of a byte-level tokenizer.json describes.
 * @throws `input.model-folder` for a step that is not supported.
 */
export function buildSplitter(preTokenizer: unknown): Splitter {
  const steps = listSteps(preTokenizer);
  const patterns = steps.flatMap(parseStep);
  if (!steps.some((step) => step['type'] === 'ByteLevel')) {
    throw tokenizerFileError('pre_tokenizer', preTokenizer, 'a sequence that ends in ByteLevel');
  }
  return splitBy(patterns);
}

/** Splits by one pattern after the other, each within the pieces of the one before. */
export function splitBy(patterns: readonly RegExp[]): Splitter {
  return (text) => cutText(text).flatMap((chunk) => patterns.reduce<readonly string[]>(splitAll, [chunk]));
}

function listSteps(preTokenizer: unknown): readonly JsonRecord[] {
  if (!isJsonRecord(preTokenizer)) throw tokenizerFileError('pre_tokenizer', preTokenizer, 'an object');
  if (preTokenizer['type'] !== 'Sequence') return [preTokenizer];
  const steps = preTokenizer['pretokenizers'];
  if (!Array.isArray(steps) || !steps.every(isJsonRecord)) {
    throw tokenizerFileError('pre_tokenizer.pretokenizers', steps, 'a list of objects');
  }
  return steps;
}

function parseStep(step: JsonRecord): readonly RegExp[] {
  switch (step['type']) {
    case 'Split':
      return [parseSplit(step)];
    case 'Digits':
      return [step['individual_digits'] === true ? /\p{Nd}/gu : /\p{Nd}+/gu];
    case 'ByteLevel':
      if (step['add_prefix_space'] === true) throw tokenizerFileError('pre_tokenizer.add_prefix_space', true, 'false');
      return step['use_regex'] === false ? [] : [compileSplitPattern(byteLevelPattern)];
    default:
      throw tokenizerFileError('pre_tokenizer.type', step['type'], 'Sequence, Split, Digits, ByteLevel');
  }
}

function parseSplit(step: JsonRecord): RegExp {
  const { pattern, behavior, invert } = step as { pattern?: unknown; behavior?: unknown; invert?: unknown };
  if (behavior !== 'Isolated') throw tokenizerFileError('pre_tokenizer.behavior', behavior, 'Isolated');
  if (invert === true) throw tokenizerFileError('pre_tokenizer.invert', invert, 'false');
  const record = isJsonRecord(pattern) ? pattern : {};
  const { Regex: regex, String: literal } = record as { Regex?: unknown; String?: unknown };
  if (typeof regex === 'string') return compileSplitPattern(regex);
  if (typeof literal === 'string' && literal !== '') return new RegExp(escapePattern(literal), 'gu');
  throw tokenizerFileError('pre_tokenizer.pattern', pattern, 'an object with Regex or String');
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function splitAll(pieces: readonly string[], pattern: RegExp): readonly string[] {
  const split: string[] = [];
  for (const piece of pieces) splitPiece(piece, pattern, split);
  return split;
}

/** Matches and the text between them, each by itself. */
function splitPiece(piece: string, pattern: RegExp, split: string[]): void {
  let end = 0;
  for (const { index, 0: match } of piece.matchAll(pattern)) {
    if (match === '') continue;
    if (index > end) split.push(piece.slice(end, index));
    split.push(match);
    end = index + match.length;
  }
  if (end < piece.length) split.push(piece.slice(end));
}

/**
 * Bounds what one pattern has to look at, so that a hostile word costs no more than its length. Counted in code points,
 * because the places of the cuts decide tokens.
 */
function cutText(text: string): readonly string[] {
  if (text.length <= runCharacters) return [text];
  const pieces: string[] = [];
  let [start, chunk, run, runIsSpace] = [0, 0, 0, false];
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) as number;
    const space = isWhiteSpace(code);
    const isRunFull = space === runIsSpace && run === runCharacters;
    if (chunk === chunkCharacters || isRunFull) {
      pieces.push(text.slice(start, at));
      start = at;
      run = 0;
      if (chunk === chunkCharacters) chunk = 0;
    }
    run = space === runIsSpace ? run + 1 : 1;
    runIsSpace = space;
    chunk += 1;
    at += code > 0xffff ? 2 : 1;
  }
  pieces.push(text.slice(start));
  return pieces;
}

/** Unicode white space and the four separators of ASCII. */
function isWhiteSpace(code: number): boolean {
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  if (code < 0x1680) return code === 0x85 || code === 0xa0;
  if (code <= 0x205f) {
    return code === 0x1680 || (code >= 0x2000 && code <= 0x200a) || [0x2028, 0x2029, 0x202f, 0x205f].includes(code);
  }
  return code === 0x3000;
}
