import { buildMergeTable, type Merge } from './bpe.ts';
import { decodeByteCharacters } from './byte-alphabet.ts';
import { isJsonRecord, type JsonRecord, tokenizerFileError } from './file-error.ts';
import { buildSplitter } from './pretokenize.ts';
import type { TokenizerVocabulary } from './vocabulary.ts';

const noBytes = new Uint8Array(0);

/** An id beyond this is a broken file: the table of ids would not fit in memory. */
const idLimit = 10_000_000;

/**
 * Reads a byte-level `tokenizer.json` (Hugging Face).
 * @throws `input.model-folder` naming the field, the value met and the values allowed
 */
export function parseTokenizerFile(value: unknown): TokenizerVocabulary {
  if (!isJsonRecord(value)) throw tokenizerFileError('the file', value, 'a JSON object');
  const model = value['model'];
  if (!isJsonRecord(model)) throw tokenizerFileError('model', model, 'an object');
  checkModel(model);
  const added = parseAddedTokens(value['added_tokens']);
  const vocabulary = parseVocabulary(model['vocab'], added);
  const tokenBytes: Uint8Array[] = [];
  const textIds = new Map<string, number>();
  for (const [text, id] of vocabulary) {
    const bytes = decodeByteCharacters(text);
    if (bytes === undefined) throw tokenizerFileError(`model.vocab entry ${id}`, text, 'byte-level characters');
    tokenBytes[id] = bytes;
    textIds.set(Buffer.from(bytes).toString('latin1'), id);
  }
  for (const [text, { id, isControl }] of added) tokenBytes[id] = isControl ? noBytes : Buffer.from(text, 'utf8');
  return {
    file: 'tokenizer.json',
    tokenBytes: Array.from(tokenBytes, (bytes) => bytes ?? noBytes),
    textIds,
    addedIds: new Map([...added].map(([text, { id }]) => [text, id])),
    pairs: buildMergeTable(parseMerges(model['merges'], vocabulary)),
    takesWholePieces: model['ignore_merges'] === true,
    normalize: parseNormalizer(value['normalizer']),
    split: buildSplitter(value['pre_tokenizer']),
  };
}

function checkModel(model: JsonRecord): void {
  if (model['type'] !== 'BPE') throw tokenizerFileError('model.type', model['type'], 'BPE');
  if (model['byte_fallback'] === true) throw tokenizerFileError('model.byte_fallback', true, 'false');
  for (const field of ['continuing_subword_prefix', 'end_of_word_suffix', 'dropout'] as const) {
    const met = model[field];
    if (met !== undefined && met !== null && met !== '') throw tokenizerFileError(`model.${field}`, met, 'null');
  }
}

function parseNormalizer(normalizer: unknown): (text: string) => string {
  if (normalizer === undefined || normalizer === null) return (text) => text;
  const type = isJsonRecord(normalizer) ? normalizer['type'] : undefined;
  if (type !== 'NFC') throw tokenizerFileError('normalizer', normalizer, 'null, NFC');
  return (text) => text.normalize('NFC');
}

interface AddedToken {
  readonly id: number;
  readonly isControl: boolean;
}

function parseAddedTokens(value: unknown): ReadonlyMap<string, AddedToken> {
  if (!Array.isArray(value) || value.length === 0) {
    throw tokenizerFileError('added_tokens', value, 'a list with the special tokens of the model');
  }
  const tokens = new Map<string, AddedToken>();
  for (const token of value as readonly unknown[]) {
    const { id, content, special } = (isJsonRecord(token) ? token : {}) as Readonly<Record<string, unknown>>;
    if (typeof content !== 'string' || content === '')
      throw tokenizerFileError('added_tokens', token, 'id and content');
    // `<think>` is not flagged special in some files, so that it survives their decoding; it is no text all the same
    const isControl = special === true || /^(?:<.*>|\[.*\])$/s.test(content);
    tokens.set(content, { id: parseId(id, `added_tokens ${content}`), isControl });
  }
  return tokens;
}

/** Added tokens that are listed here too are left out, so that no merge leads to one. */
function parseVocabulary(value: unknown, added: ReadonlyMap<string, AddedToken>): ReadonlyMap<string, number> {
  if (!isJsonRecord(value)) throw tokenizerFileError('model.vocab', value, 'an object');
  const entries = Object.entries(value).filter(([text]) => !added.has(text));
  return new Map(entries.map(([text, id]) => [text, parseId(id, `model.vocab ${text}`)]));
}

function parseId(id: unknown, field: string): number {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= idLimit) {
    throw tokenizerFileError(field, id, `a whole number below ${idLimit}`);
  }
  return id;
}

function parseMerges(value: unknown, vocabulary: ReadonlyMap<string, number>): readonly Merge[] {
  if (!Array.isArray(value)) throw tokenizerFileError('model.merges', value, 'a list');
  return (value as readonly unknown[]).map((entry) => {
    const [leftText, rightText] = parsePair(entry);
    const left = vocabulary.get(leftText);
    const right = vocabulary.get(rightText);
    const merged = vocabulary.get(leftText + rightText);
    if (left === undefined || right === undefined || merged === undefined) {
      throw tokenizerFileError('model.merges', entry, 'pairs whose parts and whole are in model.vocab and not added');
    }
    return { left, right, merged };
  });
}

/** `"a b"` or `["a", "b"]`: both forms are in use. */
function parsePair(entry: unknown): readonly [string, string] {
  const parts: readonly unknown[] = Array.isArray(entry) ? entry : typeof entry === 'string' ? entry.split(' ') : [];
  const [left, right] = parts;
  if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string') {
    throw tokenizerFileError('model.merges', entry, 'pairs of tokens');
  }
  return [left, right];
}
