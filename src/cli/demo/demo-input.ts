import { readFile } from 'node:fs/promises';

/** A sample document and what is asked of it; `answer`, `page` and `quote` are what it says. */
export interface DemoDocument {
  readonly file: string;
  readonly title: string;
  /** Searched with tools; the others are read whole. */
  readonly tools: boolean;
  readonly questions: readonly DemoQuestion[];
}

export interface DemoQuestion {
  readonly id: string;
  readonly question: string;
  readonly answer: unknown;
  readonly found: boolean;
  readonly page: number | null;
  readonly quote: string | null;
  readonly schema?: Readonly<Record<string, unknown>>;
}

const folder = new URL('./', import.meta.url);

export async function readDemoDocuments(): Promise<readonly DemoDocument[]> {
  const text = await readFile(new URL('questions.json', folder), 'utf8');
  const { documents } = JSON.parse(text) as { documents: readonly DemoDocument[] };
  return documents;
}

export function demoDocumentPath(document: DemoDocument): URL {
  return new URL(`documents/${document.file}`, folder);
}

export function lineId(document: DemoDocument, questionId: string): string {
  return `${document.file.replace(/\.[^.]+$/, '')}/${questionId}`;
}

/** The batch file: one analysis a question, lines of one document next to each other. */
export function buildBatchFile(
  model: string,
  documents: readonly { readonly document: DemoDocument; readonly fileId: string }[],
): string {
  const lines = documents.flatMap(({ document, fileId }) =>
    document.questions.map(({ id, question, schema }) => ({
      custom_id: lineId(document, id),
      method: 'POST',
      url: '/v1/analyses',
      body: {
        model,
        documents: [{ file_id: fileId }],
        question,
        answer: 'json',
        ...(schema === undefined ? {} : { schema }),
        // with tools: of all turns together
        max_completion_tokens: document.tools ? 1_024 : 384,
        ...(document.tools ? { tools: true, max_tool_calls: 4 } : {}),
        temperature: 0,
      },
    })),
  );
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}
