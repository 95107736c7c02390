import { canonicalJson } from '../base/canonical-json.ts';
import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { LineLimits } from '../batch/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { templateName } from './inbox-key.ts';
import { readableTypes } from './readable-types.ts';
import { defaultTemplate, parseTemplate, type Template } from './template.ts';

/** What decides about a document beside its folder's template. */
export interface IntakeRules {
  /** Served here; the first one is used where a template names none. */
  readonly models: readonly string[];
  readonly maxFileBytes: number;
  readonly lines: LineLimits;
}

/** Name of everything a decision rests on: with another name, a rejected document is looked at again. */
export function digestRules(rules: IntakeRules, templateEtag: string | null): string {
  return sha256Hex(canonicalJson([templateEtag, rules, readableTypes])).slice(0, 16);
}

export type FolderTemplate = { readonly etag: string | null } & (
  | { readonly type: 'valid'; readonly template: Template }
  | { readonly type: 'invalid'; readonly problem: string }
);

/** Templates are written by hand. */
const maxTemplateBytes = 4 << 20;

/** The folder's template as it is now. @throws `transient.*`; what is wrong with it is a value */
export async function loadTemplate(store: ObjectStore, rules: IntakeRules, folder: string): Promise<FolderTemplate> {
  const object = await store.get(`${folder}${templateName}`, { range: { start: 0, end: maxTemplateBytes } });
  if (object === undefined) return { etag: null, type: 'valid', template: defaultTemplate(rules.models) };
  const { etag, bytes } = object;
  const invalid = (problem: string): FolderTemplate => ({
    etag,
    type: 'invalid',
    problem: `${templateName}: ${problem}`,
  });
  if (bytes === 0) return invalid('it is empty');
  if (bytes > maxTemplateBytes) return invalid(`it has ${bytes} bytes; at most ${maxTemplateBytes} are allowed`);
  try {
    return { etag, type: 'valid', template: parseTemplate(object.body, rules.models) };
  } catch (error) {
    if (error instanceof AppError && error.family === 'input') return invalid(error.message);
    throw error;
  }
}
