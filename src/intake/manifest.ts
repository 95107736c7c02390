import { AppError } from '../base/errors.ts';
import { type ValidatedLine, validateLines } from '../batch/index.ts';
import { prefixes } from '../storage/index.ts';
import type { IntakeRules } from './rules.ts';

/** What a manifest batch consists of. */
export interface ManifestOutline {
  readonly endpoint: string;
  readonly customIds: readonly string[];
  /** Keys of the documents its lines name, each once. */
  readonly documentKeys: readonly string[];
}

export type ManifestReading =
  | { readonly type: 'valid'; readonly outline: ManifestOutline }
  | { readonly type: 'invalid'; readonly problem: string };

/** Checks every line. What is wrong with the lines is a value. */
export async function outlineManifest(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  endpoint: string,
  rules: IntakeRules,
): Promise<ManifestReading> {
  const customIds: string[] = [];
  const documentKeys = new Set<string>();
  const problems = new ProblemCount();
  for await (const one of validateLines(source, { endpoint, limits: rules.lines })) {
    const problem = problemOf(one) ?? collectKeys(one, folder, documentKeys);
    if (problem !== null) problems.add(problem);
    else if (one.type === 'line') customIds.push(one.line.custom_id);
  }
  if (problems.total > 0) return { type: 'invalid', problem: problems.describe() };
  return { type: 'valid', outline: { endpoint, customIds, documentKeys: [...documentKeys] } };
}

/** The url of the first line, which all others must share; a first line without one is found wrong later. */
export function findEndpoint(head: Uint8Array): string {
  const text = Buffer.from(head).toString('utf8');
  const end = text.indexOf('\n');
  try {
    const line = JSON.parse(end === -1 ? text : text.slice(0, end)) as { url?: unknown } | null;
    return typeof line?.url === 'string' ? line.url : '/v1/analyses';
  } catch {
    return '/v1/analyses';
  }
}

/** Lines of a manifest that was found valid → lines of a batch input; `place` says where each document lies now. */
export async function* resolveManifest(
  source: AsyncIterable<Uint8Array>,
  folder: string,
  endpoint: string,
  rules: IntakeRules,
  place: (key: string) => Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  for await (const one of validateLines(source, { endpoint, limits: rules.lines })) {
    if (one.type === 'error') throw new AppError('input.invalid-request', one.error.message);
    const { custom_id: customId, url, body } = one.line;
    const resolved = mapDocuments(body, (key) => place(resolveDocumentKey(folder, key)));
    yield Buffer.from(`${JSON.stringify({ custom_id: customId, method: 'POST', url, body: resolved })}\n`);
  }
}

/**
 * A document's key as a manifest writes it → its key in the bucket. Keys stay within the folder, because whoever may
 * write there may read there, and perhaps nowhere else.
 * @throws `input.invalid-request`
 */
export function resolveDocumentKey(folder: string, key: string): string {
  const rest = key.startsWith(folder) ? key.slice(folder.length) : key;
  const leaves = rest.startsWith(prefixes.inbox) || rest.split('/').some((part) => ['', '.', '..'].includes(part));
  if (!leaves) return `${folder}${rest}`;
  const shown = JSON.stringify(key.slice(0, 80));
  throw new AppError('input.invalid-request', `document key ${shown} must be relative and stay within ${folder}`);
}

function problemOf(one: ValidatedLine): string | null {
  if (one.type === 'line') return null;
  const { line, message } = one.error;
  return line === null ? message : `line ${line}: ${message}`;
}

function collectKeys(one: ValidatedLine, folder: string, documentKeys: Set<string>): string | null {
  if (one.type === 'error') return null;
  try {
    mapDocuments(one.line.body, (key) => {
      documentKeys.add(resolveDocumentKey(folder, key));
      return {};
    });
    return null;
  } catch (error) {
    if (error instanceof AppError) return `line ${one.line.index + 1}: ${error.message}`;
    throw error;
  }
}

/** The body with every document that is named by key replaced; other bodies as they are. */
function mapDocuments(
  body: Readonly<Record<string, unknown>>,
  replace: (key: string) => Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const documents: unknown = body['documents'];
  if (!Array.isArray(documents)) return body;
  return { ...body, documents: documents.map((each: unknown) => (hasKey(each) ? replace(each.key) : each)) };
}

function hasKey(value: unknown): value is { readonly key: string } {
  return typeof value === 'object' && value !== null && 'key' in value && typeof value.key === 'string';
}

class ProblemCount {
  total = 0;
  #first = '';

  add(problem: string): void {
    if (this.total === 0) this.#first = problem;
    this.total += 1;
  }

  describe(): string {
    return this.total === 1 ? this.#first : `${this.#first}; ${this.total} problems in all`;
  }
}
