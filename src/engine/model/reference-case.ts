import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { isJsonRecord, type JsonRecord } from './config-reader.ts';

/** Reference logits beside a checkpoint: `expected*.json` and the little-endian float32 file it names. */
export interface ReferenceCase {
  readonly file: string;
  readonly tokenIds: readonly number[];
  /** Prompt positions the logits belong to. */
  readonly positions: readonly number[];
  readonly vocabularySize: number;
  /** [positions, vocabulary] */
  readonly logits: Float32Array;
  readonly standardDeviation: number;
  /** What the reference says next, each step fed its own choice; margin: gap between the best two logits. */
  readonly greedy: readonly { readonly tokenId: number; readonly margin: number }[];
}

/** All cases of a folder, by file name. Throws `input.model-folder`, also when there is none. */
export async function loadReferenceCases(folder: string): Promise<readonly ReferenceCase[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new AppError('input.model-folder', `model folder ${folder} cannot be read`, { cause: error });
  });
  const files = names.filter((name) => /^expected.*\.json$/.test(name)).sort();
  if (files.length === 0) throw new AppError('input.model-folder', `model folder ${folder} has no expected*.json`);
  return Promise.all(files.map((file) => loadReferenceCase(folder, file)));
}

async function loadReferenceCase(folder: string, file: string): Promise<ReferenceCase> {
  const value = parseCase(await readFile(join(folder, file), 'utf8'), file);
  const logits = await loadLogits(folder, file, value.logitsFile);
  const wanted = value.positions.length * value.vocabularySize;
  if (logits.length !== wanted) {
    throw caseError(file, `${value.logitsFile} holds ${logits.length} values, logits_shape says ${wanted}`);
  }
  return { ...value, file, logits, standardDeviation: standardDeviation(logits) };
}

function caseError(file: string, what: string, cause?: unknown): AppError {
  return new AppError('input.model-folder', `${file}: ${what}`, { details: { file }, cause });
}

async function loadLogits(folder: string, file: string, logitsFile: string): Promise<Float32Array> {
  if (basename(logitsFile) !== logitsFile) throw caseError(file, `logits_file ${logitsFile} is not a file name`);
  const bytes = await readFile(join(folder, logitsFile)).catch((error: unknown) => {
    throw caseError(file, `${logitsFile} cannot be read`, error);
  });
  if (bytes.byteLength % 4 !== 0) throw caseError(file, `${logitsFile} has ${bytes.byteLength} bytes, not float32`);
  return new Float32Array(new Uint8Array(bytes).buffer);
}

function parseCase(text: string, file: string) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw caseError(file, 'not JSON', error);
  }
  if (!isJsonRecord(value)) throw caseError(file, 'not a JSON object');
  const tokenIds = readNumbers(value, 'input_ids', file, true);
  const [rows = 0, vocabularySize = 0] = readNumbers(value, 'logits_shape', file, true);
  const positions =
    value['positions'] === undefined ? tokenIds.map((_, index) => index) : readNumbers(value, 'positions', file, true);
  if (tokenIds.length === 0) throw caseError(file, 'input_ids is empty');
  if (positions.length !== rows) throw caseError(file, `${positions.length} positions, logits_shape says ${rows}`);
  const beyond = positions.find((position) => position >= tokenIds.length);
  if (beyond !== undefined) throw caseError(file, `position ${beyond} is behind the ${tokenIds.length} input_ids`);
  const logitsFile = value['logits_file'];
  if (typeof logitsFile !== 'string') throw caseError(file, 'logits_file is not a file name');
  return { tokenIds, positions, vocabularySize, logitsFile, greedy: readGreedy(value, file) };
}

function readGreedy(value: JsonRecord, file: string): ReferenceCase['greedy'] {
  if (value['greedy_continuation'] === undefined) return [];
  const ids = readNumbers(value, 'greedy_continuation', file, true);
  const margins = readNumbers(value, 'greedy_margins', file, false);
  if (margins.length !== ids.length) throw caseError(file, `${margins.length} greedy_margins for ${ids.length} steps`);
  return ids.map((tokenId, index) => ({ tokenId, margin: margins[index] ?? 0 }));
}

function readNumbers(value: JsonRecord, field: string, file: string, isCount: boolean): readonly number[] {
  const list: unknown = value[field];
  const isGood = (item: unknown): item is number =>
    typeof item === 'number' && (isCount ? Number.isSafeInteger(item) && item >= 0 : Number.isFinite(item));
  if (!Array.isArray(list) || !list.every(isGood)) throw caseError(file, `${field} is not a list of numbers`);
  return list;
}

/** Of the population, as numpy computes it. */
function standardDeviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / values.length);
}
