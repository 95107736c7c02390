import type { AppError } from '../../base/errors.ts';
import { buildSpellingTable } from './bpe.ts';
import { isJsonRecord, tokenizerFileError } from './file-error.ts';
import { kimiPattern } from './kimi-pattern.ts';
import { splitBy } from './pretokenize.ts';
import { compileSplitPattern } from './split-pattern.ts';
import type { TokenizerVocabulary } from './vocabulary.ts';

/** Names of the files; the second names the special tokens. */
export const tiktokenFile = 'tiktoken.model';
export const tokenizerConfigFile = 'tokenizer_config.json';

/** Special tokens follow the ranks, so many whether they have names or not. */
const specialSlots = 256;

const noBytes = new Uint8Array(0);

/**
 * Reads a `tiktoken.model` of the Kimi family: a line a token, its bytes in base64 and its rank, which is its id.
 * @param text the file
 * @param config the parsed `tokenizer_config.json`
 * @throws `input.model-folder` naming the line or field, the value met and the values allowed
 */
export function parseTiktokenFile(text: string, config: unknown): TokenizerVocabulary {
  const { tokenBytes, textIds } = parseRanks(text);
  const addedIds = parseSpecialNames(config, tokenBytes.length);
  return {
    file: tiktokenFile,
    tokenBytes: [...tokenBytes, ...Array.from({ length: specialSlots }, () => noBytes)],
    textIds,
    addedIds,
    pairs: buildSpellingTable(textIds),
    takesWholePieces: true,
    normalize: (plain) => plain,
    split: splitBy([compileSplitPattern(kimiPattern)]),
  };
}

interface Ranks {
  /** By rank. */
  readonly tokenBytes: readonly Uint8Array[];
  readonly textIds: ReadonlyMap<string, number>;
}

function parseRanks(text: string): Ranks {
  const lines = text.split('\n');
  const total = lines.reduce((sum, line) => sum + (isBlank(line) ? 0 : 1), 0);
  const tokenBytes: Uint8Array[] = [];
  const textIds = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    if (isBlank(line)) continue;
    const { bytes, rank } = parseLine(line.endsWith('\r') ? line.slice(0, -1) : line, index + 1);
    if (rank >= total)
      throw lineError(index + 1, 'rank', rank, `0 to ${total - 1}, each once: the file has ${total} tokens`);
    if (tokenBytes[rank] !== undefined) throw lineError(index + 1, 'rank', rank, 'each rank once');
    const spelling = bytes.toString('latin1');
    if (textIds.has(spelling)) throw lineError(index + 1, 'token', line, 'each token once');
    tokenBytes[rank] = bytes;
    textIds.set(spelling, rank);
  }
  return { tokenBytes, textIds };
}

function isBlank(line: string): boolean {
  return line === '' || line === '\r';
}

function parseLine(line: string, number: number): { readonly bytes: Buffer; readonly rank: number } {
  const space = line.indexOf(' ');
  const base64 = line.slice(0, Math.max(space, 0));
  const rank = line.slice(space + 1);
  if (space < 0 || !/^\d{1,9}$/.test(rank)) throw lineError(number, 'text', line, 'base64, a space, a rank');
  const bytes = Buffer.from(base64, 'base64');
  // decoding skips what it does not know, so the way back shows whether it knew everything
  if (bytes.length === 0 || bytes.toString('base64') !== base64) {
    throw lineError(number, 'token', base64, 'the base64 of at least one byte');
  }
  return { bytes, rank: Number(rank) };
}

function lineError(line: number, what: string, met: unknown, allowed: string): AppError {
  return tokenizerFileError(`${what} of line ${line}`, met, allowed, tiktokenFile);
}

/** Every slot has a name, so that none can be mistaken for an unused row. */
function parseSpecialNames(config: unknown, base: number): ReadonlyMap<string, number> {
  const fail = (field: string, met: unknown, allowed: string): AppError =>
    tokenizerFileError(field, met, allowed, tokenizerConfigFile);
  if (!isJsonRecord(config)) throw fail('the file', config, 'a JSON object');
  const decoder = config['added_tokens_decoder'] ?? {};
  if (!isJsonRecord(decoder)) throw fail('added_tokens_decoder', decoder, 'an object');
  const names = Array.from({ length: specialSlots }, (_, slot) => `<|reserved_token_${base + slot}|>`);
  for (const [key, token] of Object.entries(decoder)) {
    const slot = /^\d{1,9}$/.test(key) ? Number(key) - base : -1;
    if (slot < 0 || slot >= specialSlots) {
      throw fail('an id in added_tokens_decoder', key, `${base} to ${base + specialSlots - 1}`);
    }
    const name = isJsonRecord(token) ? token['content'] : undefined;
    if (typeof name !== 'string' || name === '') throw fail(`added_tokens_decoder ${key} content`, name, 'a name');
    names[slot] = name;
  }
  const ids = new Map(names.map((name, slot) => [name, base + slot]));
  const twice = names.find((name, slot) => ids.get(name) !== base + slot);
  if (twice !== undefined) throw fail('a name in added_tokens_decoder', twice, 'each name once');
  return ids;
}
