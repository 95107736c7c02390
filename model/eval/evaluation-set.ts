import { readFile } from 'node:fs/promises';
import { demoDocumentPath, readDemoDocuments } from '../../src/cli/demo/demo-input.ts';

export interface EvaluationSet {
  readonly name: string;
  readonly documents: readonly EvaluationDocument[];
}

export interface EvaluationDocument {
  readonly name: string;
  /** As a caller sends it: a form feed ends a page. */
  readonly text: string;
  readonly questions: readonly EvaluationQuestion[];
}

export interface EvaluationQuestion {
  readonly question: string;
  readonly kind: string;
  readonly answer: unknown;
  readonly found: boolean;
  /** Other facts of the document with the same type of value, the same attribute, the same entity. */
  readonly rivals: { readonly type: number; readonly attribute: number; readonly entity: number };
  readonly tools: boolean;
  /** The caller's own schema of the answer. */
  readonly schema?: Readonly<Record<string, unknown>>;
}

/** The generated documents, written by `python -m training.evaluation_set`. */
export async function readGeneratedSets(): Promise<readonly EvaluationSet[]> {
  const text = await readFile(new URL('questions.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { sets: readonly EvaluationSet[] }).sets;
}

/** The demo's hand-written documents with the questions the demo asks. */
export async function readDemoSet(): Promise<EvaluationSet> {
  const documents = await Promise.all(
    (await readDemoDocuments()).map(async (document) => ({
      name: document.file,
      text: await readFile(demoDocumentPath(document), 'utf8'),
      questions: document.questions.map(({ question, answer, found, schema }) => ({
        question,
        kind: 'hand-written',
        answer,
        found,
        rivals: { type: 0, attribute: 0, entity: 0 },
        tools: document.tools,
        ...(schema === undefined ? {} : { schema }),
      })),
    })),
  );
  return { name: "the demo's documents", documents };
}
