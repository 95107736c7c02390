import { basename } from 'node:path';
import { AppError, isFamily, toAppError } from '../base/errors.ts';
import { manifestName, parseTemplate, readySuffix, templateName } from '../intake/index.ts';
import { prefixes } from '../storage/index.ts';
import { type AskedAs, readJsonObject } from './questions.ts';
import { checkFile } from './text-files.ts';

export interface DropFile {
  readonly path: string;
  readonly key: string;
}

/** What goes into the bucket, in this order: template, files, markers. */
export interface DropPlan {
  /** Key of the folder, with a slash at the end. */
  readonly folder: string;
  readonly files: readonly DropFile[];
  /** Each gets a receipt of its own: all files, or the manifest alone. */
  readonly watched: readonly string[];
}

/** @throws `input.invalid-request`, `input.not-found` */
export async function planDrop(paths: readonly string[], folderName: string): Promise<DropPlan> {
  const folder = `${prefixes.inbox}${parseFolder(folderName)}/`;
  const names = paths.map((path) => basename(path));
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) !== index) {
      throw new AppError('input.invalid-request', `two files are named ${name}; one folder can hold only one of them`);
    }
    if (name === templateName) {
      throw new AppError(
        'input.invalid-request',
        `${name} is the folder's template; give it with --template ${paths[index]}`,
      );
    }
    if (name.endsWith(readySuffix)) {
      throw new AppError('input.invalid-request', `${name} is a marker, which drop writes itself; leave it out`);
    }
  }
  for (const path of paths) await checkFile(path);
  const files = paths.map((path) => ({ path, key: `${folder}${basename(path)}` }));
  // the manifest names the documents, so it goes last and alone decides
  const manifest = files.filter(({ key }) => basename(key) === manifestName);
  const documents = files.filter((file) => !manifest.includes(file));
  return {
    folder,
    files: [...documents, ...manifest],
    watched: (manifest.length > 0 ? manifest : documents).map(({ key }) => key),
  };
}

export const templateKeyOf = ({ folder }: DropPlan): string => `${folder}${templateName}`;

/** Says that an object is whole, so that nobody waits for it to settle. */
export const markerKeyOf = (key: string): string => `${key}${readySuffix}`;

/** `analysis.json` of questions given on the command line. */
export function buildTemplate(asked: AskedAs, model: string | undefined): string {
  const questions = asked.questions.map(({ id, text }) => ({
    id,
    question: text,
    ...(asked.schema === null ? {} : { schema: asked.schema }),
  }));
  const value = {
    version: 1,
    ...(model === undefined ? {} : { model }),
    questions,
    answer: asked.answer,
    ...asked.fields,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** @throws `input.*` naming the file and what intake would say of it */
export async function readTemplate(path: string): Promise<string> {
  const value = await readJsonObject(path, 'template');
  const { model } = value;
  const text = `${JSON.stringify(value, null, 2)}\n`;
  try {
    // which models are served is the server's to say
    parseTemplate(Buffer.from(text), [typeof model === 'string' ? model : 'any']);
  } catch (error) {
    if (!isFamily(error, 'input')) throw error;
    const known = toAppError(error);
    throw new AppError(known.code, `template ${path}: ${known.message}`, { cause: error });
  }
  return text;
}

function parseFolder(name: string): string {
  const folder = name.replace(/^\/+|\/+$/g, '');
  const parts = folder.split('/');
  if (parts.every((part) => part !== '' && part !== '.' && part !== '..') && !folder.startsWith(prefixes.inbox)) {
    return folder;
  }
  const message = `--folder must be a name such as leases or leases/2026, without "inbox/", not ${JSON.stringify(name)}`;
  throw new AppError('input.invalid-request', message);
}
