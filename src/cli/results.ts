import type { OutputLine } from '../batch/records.schema.ts';
import { printLine, type TextStream } from './io.ts';
import { renderTable } from './output.ts';
import { toPlainLine, toPlainText } from './plain-text.ts';

interface Usage {
  readonly prompt_tokens: number;
  /** Embeddings write nothing. */
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number };
}

interface Citation {
  readonly document?: number;
  readonly page: number;
  readonly quote?: string;
  readonly verified: boolean;
  readonly context?: string | null;
}

/** One line of output.jsonl or error.jsonl as a person reads it. */
export interface ResultView {
  readonly customId: string;
  /** null: the line failed. */
  readonly answer: string | null;
  /** Why it failed, or what else is to be said; null: nothing. */
  readonly problem: string | null;
  readonly citations: readonly Citation[];
  readonly usage: Usage | null;
  /** About the model; null: nothing to say. */
  readonly notice: string | null;
}

/** A finished line → what is to be shown of it; reads analyses, chat completions and embeddings. */
export function viewResult(text: string): ResultView {
  const line = JSON.parse(text) as OutputLine;
  const body = line.response?.body ?? {};
  const status = line.response?.status_code ?? 0;
  const base = { customId: line.custom_id, citations: [], usage: null, notice: null };
  if (line.error !== null && line.error !== undefined) {
    return { ...base, answer: null, problem: line.error.message };
  }
  if (status < 200 || status >= 400) {
    const message = (body['error'] as { message?: string } | undefined)?.message;
    return { ...base, answer: null, problem: message ?? `status ${status}` };
  }
  return {
    ...base,
    ...readAnswer(body),
    citations: (body['citations'] as readonly Citation[] | undefined) ?? [],
    usage: (body['usage'] as Usage | undefined) ?? null,
    notice: (body['ext'] as { notice?: string | null } | undefined)?.notice ?? null,
  };
}

function readAnswer(body: Readonly<Record<string, unknown>>): Pick<ResultView, 'answer' | 'problem'> {
  const choices = body['choices'] as readonly Choice[] | undefined;
  if (choices !== undefined) return { answer: describeChoices(choices), problem: null };
  if (body['object'] === 'list') return { answer: describeVectors(body['data']), problem: null };
  if (body['parsed'] === false) {
    const { raw } = (body['ext'] ?? {}) as { raw?: string | null };
    return { answer: raw ?? '', problem: 'the answer broke off before its JSON was whole; allow more --max-tokens' };
  }
  const problem = body['found'] === false ? 'not found in the document, says the model' : null;
  const answer = body['answer'];
  return { answer: typeof answer === 'string' ? answer : JSON.stringify(answer, null, 2), problem };
}

interface Choice {
  readonly message?: {
    readonly content?: string | null;
    readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: string } }[];
  };
}

function describeChoices(choices: readonly Choice[]): string {
  const texts = choices.map(({ message }) => {
    const calls = (message?.tool_calls ?? []).map(({ function: called }) => `${called.name}(${called.arguments})`);
    return [message?.content ?? '', ...calls].filter((part) => part !== '').join('\n');
  });
  return texts.length === 1 ? (texts[0] ?? '') : texts.map((text, index) => `[${index}] ${text}`).join('\n');
}

function describeVectors(data: unknown): string {
  const total = Array.isArray(data) ? data.length : 0;
  return `${total} ${total === 1 ? 'embedding' : 'embeddings'}; --json or --output has the numbers`;
}

/** One paragraph a line, whole. */
export function renderResult({ customId, answer, problem, citations, usage }: ResultView): string {
  const parts = [toPlainLine(customId)];
  if (answer === null) parts.push(`failed: ${toPlainText(problem ?? '')}`);
  else {
    parts.push(toPlainText(answer === '' ? '(empty)' : answer));
    if (problem !== null) parts.push(`note   ${problem}`);
  }
  for (const cited of citations) parts.push(`cites  ${renderCitation(cited)}`);
  if (usage !== null) {
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    parts.push(
      `tokens ${usage.prompt_tokens} read, ${cached} of them from the cache, ${usage.completion_tokens ?? 0} written`,
    );
  }
  return parts.map((part, index) => (index === 0 ? part : part.replace(/^/gm, '  '))).join('\n');
}

/** With the whole sentence, where it is known: a quote may be a few words of it. */
function renderCitation({ document = 1, page, quote = '', verified, context }: Citation): string {
  const place = document > 1 ? `document ${document}, page ${page}` : `page ${page}`;
  return `${place}${verified ? ' ✓' : ' (not found there)'} ${JSON.stringify(toPlainLine(context ?? quote))}`;
}

/** All lines in one table, answers cut. */
export function renderResultTable(results: readonly ResultView[]): string {
  const rows = results.map(({ customId, answer, problem, citations, usage }) => [
    customId,
    answer ?? `failed: ${problem}`,
    citations.map(({ page, verified }) => `p.${page}${verified ? '✓' : '?'}`).join(' ') || '–',
    String(usage?.prompt_tokens ?? '–'),
    String(usage?.prompt_tokens_details?.cached_tokens ?? '–'),
    String(usage?.completion_tokens ?? '–'),
  ]);
  return renderTable(['line', 'answer', 'cites', 'read', 'cached', 'written'], rows);
}

export async function* viewResults(lines: AsyncIterable<string>): AsyncGenerator<ResultView> {
  for await (const line of lines) yield viewResult(line);
}

export interface PrintedResults {
  readonly lines: number;
  readonly failed: number;
}

/** Writes results as they come: a paragraph each, or all in one table at the end. */
export async function printResults(
  stream: TextStream,
  results: AsyncIterable<ResultView>,
  { table }: { readonly table: boolean },
): Promise<PrintedResults> {
  const kept: ResultView[] = [];
  const notices = new Set<string>();
  let [total, failed] = [0, 0];
  for await (const result of results) {
    total += 1;
    if (result.answer === null) failed += 1;
    if (result.notice !== null) notices.add(result.notice);
    if (table) kept.push(result);
    else printLine(stream, `${renderResult(result)}\n`);
  }
  if (kept.length > 0) printLine(stream, `${renderResultTable(kept)}\n`);
  for (const notice of notices) printLine(stream, `note: ${toPlainLine(notice)}`);
  return { lines: total, failed };
}
