import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { demoDocumentPath, readDemoDocuments } from '../../src/cli/demo/demo-input.ts';

export interface EvaluationSet {
  readonly name: string;
  /** The row of the table of goals that its questions count for; '' for none. */
  readonly goal: string;
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
  /** What quotes must show for the answer to be proved: values, in the document's words. */
  readonly evidence: readonly string[];
  /** Other facts of the document with the same type of value, the same attribute, the same entity. */
  readonly rivals: { readonly type: number; readonly attribute: number; readonly entity: number };
  /** What is right by chance when the attribute or the question's form is understood and nothing else; null: hardly ever. */
  readonly guess: number | null;
  /** Cannot be answered without the entity, nor without the attribute, and all values of the document are of one type. */
  readonly needsBoth: boolean;
  readonly tools: boolean;
  /** The caller's own schema of the answer. */
  readonly schema?: Readonly<Record<string, unknown>>;
}

const version = 2;

export const ownQuestions = fileURLToPath(new URL('questions.json', import.meta.url));

/** The generated documents, written by `python -m training.evaluation_set`. @throws Error for another version of the file */
export async function readGeneratedSets(path = ownQuestions): Promise<readonly EvaluationSet[]> {
  const text = await readFile(path, 'utf8');
  const file = JSON.parse(text) as { readonly version: number; readonly sets: readonly EvaluationSet[] };
  if (file.version !== version) throw new Error(`${path} has version ${file.version}; this program reads ${version}`);
  return file.sets;
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
        evidence: typeof answer === 'string' && found ? [answer] : [],
        rivals: { type: 0, attribute: 0, entity: 0 },
        guess: null,
        needsBoth: false,
        tools: document.tools,
        ...(schema === undefined ? {} : { schema }),
      })),
    })),
  );
  return { name: 'demo', goal: '', documents };
}
