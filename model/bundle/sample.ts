import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sha256Hex } from '../../src/base/hash.ts';
import type { GenerateResult } from '../../src/engine/index.ts';
import type { EvaluationDocument, EvaluationQuestion, EvaluationSet } from '../eval/evaluation-set.ts';

/** The model that quire brings along. */
export const bundledModelDir = fileURLToPath(new URL('../quire-nano', import.meta.url));
export const sampleFile = 'sample.json';

/** A few questions and what the bundled model answered when it was taken in: `npm test` asks them again. */
export interface Sample {
  readonly version: 1;
  /** sha256 of the files that answers follow from. */
  readonly files: Readonly<Record<string, string>>;
  /** Questions answered exactly, and those of them with a quote that shows it, in both precisions: no accident of rounding. */
  readonly exact: number;
  readonly cited: number;
  readonly documents: readonly SampleDocument[];
}

export interface SampleDocument extends EvaluationDocument {
  readonly questions: readonly SampleQuestion[];
}

export interface SampleQuestion extends EvaluationQuestion {
  readonly recorded: {
    readonly isExact: boolean;
    readonly isCited: boolean;
    readonly answer: unknown;
    readonly citations: unknown;
    /** One a request to the engine: with tools there are several. */
    readonly turns: readonly Turn[];
  };
}

export interface Turn {
  /** As `digestPrompt` gives it. */
  readonly prompt: string;
  readonly reply: Pick<
    GenerateResult,
    'reasoning' | 'content' | 'toolCalls' | 'finishReason' | 'schemaError' | 'promptTokens' | 'completionTokens'
  >;
}

const answeringFiles = ['config.json', 'tokenizer.json', 'model.safetensors'];

export async function hashFiles(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = answeringFiles.map(async (name) => [name, sha256Hex(await readFile(join(folder, name)))] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** @throws Error when the folder has none, or one of another version */
export async function readSample(folder: string): Promise<Sample> {
  const sample = JSON.parse(await readFile(join(folder, sampleFile), 'utf8')) as Sample;
  if (sample.version !== 1) throw new Error(`${sampleFile}: version is ${sample.version}, allowed: 1`);
  return sample;
}

const registers = { documents: 1, questions: 2 };
const searched = { documents: 3, questions: 2 };

/** The first documents of each set of registers, and of the short documents that are searched. @throws Error when there is no such set */
export function chooseSample(sets: readonly EvaluationSet[]): readonly EvaluationDocument[] {
  const find = (kind: string, pattern: RegExp): readonly EvaluationSet[] => {
    const found = sets.filter(({ name }) => pattern.test(name));
    if (found.length > 0) return found;
    throw new Error(`no set of ${kind} among ${sets.map(({ name }) => JSON.stringify(name)).join(', ')}`);
  };
  return [
    ...find('registers', /^register\b/).flatMap((set) => take(set, registers)),
    ...find('short documents by search', /^short document\b.*\bsearch$/)
      .slice(0, 1)
      .flatMap((set) => take(set, searched)),
  ];
}

function take(set: EvaluationSet, most: typeof registers): readonly EvaluationDocument[] {
  return set.documents
    .slice(0, most.documents)
    .map((document) => ({ ...document, questions: document.questions.slice(0, most.questions) }));
}
