import { cutToColumns, toPlainLine } from '../plain-text.ts';
import type { Citation, Judged } from './judge.ts';

const quoteColumns = 84;

/** Each answer with its place in the document, right or wrong, as a person reads it. */
export function renderAnswers(judged: readonly Judged[]): string {
  return judged.map(renderAnswer).join('\n');
}

function renderAnswer({ customId, document, question, body, isRight }: Judged): string {
  const { usage } = body;
  const cached = usage.prompt_tokens_details.cached_tokens;
  const way = document.tools ? 'searched' : 'read whole';
  return [
    `${isRight ? '✓' : '✗'} ${customId}: ${question.question}`,
    `    ${renderWords(body)}${isRight ? '' : `   (wrong: the document says ${show(question.answer)})`}`,
    ...body.citations.map((citation) => `    ${renderCitation(document.file, citation)}`),
    `    ${way}; ${usage.prompt_tokens} tokens read, ${cached} of them from the prefix cache, ${usage.completion_tokens} written`,
  ].join('\n');
}

function renderWords({ parsed, found, answer }: Judged['body']): string {
  if (!parsed) return '(no finished answer)';
  return found === false ? `${show(answer)}, not found` : show(answer);
}

function renderCitation(file: string, { page, quote, verified, context }: Citation): string {
  const words = cutToColumns(toPlainLine(context ?? quote), quoteColumns);
  return `${file}, page ${page}: "${words}"${verified ? '' : '   (these words do not stand there)'}`;
}

const show = (value: unknown): string => toPlainLine(typeof value === 'string' ? value : JSON.stringify(value));
