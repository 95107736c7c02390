import type { AnalysisRequest } from '../batch/index.ts';
import type { GenerateRequest, ModelCard } from '../engine/index.ts';
import { buildAnswerSchema } from './answer.schema.ts';
import type { Coverage } from './coverage.ts';
import type { Document } from './document/document.ts';
import type { Generation } from './generation.ts';
import { type ParsedAnswer, parseJsonAnswer, parseTextAnswer } from './parse-answer.ts';
import { plainMessage } from './plain-message.ts';
import { buildDocumentBlock, buildOutlineBlock } from './prompts/document-block.prompt.ts';
import { buildQuestionBlock } from './prompts/question.prompt.ts';
import { systemTexts } from './prompts/system.prompt.ts';
import type { ReflectedAnswer } from './reflect.ts';
import { engineDefaults, neutralSampling } from './request-defaults.ts';
import type { LineContext } from './run-chat.ts';
import type { ToolUse } from './run-tool-loop.ts';
import { presentExt, presentTiming, presentUsage } from './wire.ts';

/** Longest answer, reasoning included, when the caller names none; with tools, of all turns together. */
export const defaultAnswerTokens = 1_024;
export const defaultToolAnswerTokens = 8_192;

/** Least bytes of text that a token stands for. */
const bytesPerToken = 2;

/**
 * Without tools documents are always shown whole. With them only where that leaves half of the window for the turns, and
 * where the model reads so much at once.
 */
export function showsWhole(
  request: AnalysisRequest,
  documents: readonly Document[],
  { contextTokens, wholeDocumentTokens }: Pick<ModelCard, 'contextTokens' | 'wholeDocumentTokens'>,
): boolean {
  if (request.maxToolCalls === null) return true;
  const allowed = Math.min(contextTokens / 2, wholeDocumentTokens ?? contextTokens);
  return documents.reduce((total, { text }) => total + Buffer.byteLength(text), 0) <= allowed * bytesPerToken;
}

/**
 * The prompt of one question: system, documents (shared with the other questions), question; or, for a model that has to
 * know the question before it reads, system (shared), question, documents.
 */
export function buildAnalysisRequest(
  line: LineContext,
  request: AnalysisRequest,
  documents: readonly Document[],
  isWhole: boolean,
  { outlineLines, questionFirst }: Pick<ModelCard, 'outlineLines' | 'questionFirst'>,
): GenerateRequest {
  const shown = isWhole ? buildDocumentBlock(documents) : buildOutlineBlock(documents, outlineLines);
  const asked = buildQuestionBlock(request.question, request.answer);
  const isAskedFirst = questionFirst && request.maxToolCalls === null;
  const maxTokens =
    request.maxTokens ?? (request.maxToolCalls === null ? defaultAnswerTokens : defaultToolAnswerTokens);
  return {
    id: line.name,
    tenant: line.tenant,
    messages: [
      plainMessage('system', systemTexts.qa),
      ...(isAskedFirst ? [asked, shown] : [shown, asked]).map((text) => plainMessage('user', text)),
    ],
    tools: null,
    argumentSchemas: null,
    toolChoice: { type: 'auto' },
    parallelToolCalls: true,
    sharedMessages: isAskedFirst ? 1 : 2,
    maxTokens,
    sampling: { ...neutralSampling, temperature: request.temperature, seed: request.seed ?? line.seed },
    logprobs: null,
    stop: [],
    // half of the tokens stay for the answer, so that a long thought cannot leave none
    thinkingBudget: request.thinkingBudget ?? Math.floor(maxTokens / 2),
    format: buildAnswerFormat(request, documents, false),
    priority: line.priority,
    deadlineMs: line.deadlineMs,
    // last: with a spread in front of them, all of these properties take twenty times as long
    ...engineDefaults,
  };
}

/** @param isChecked the answer is one behind a draft, and may say that it corrects it */
export function buildAnswerFormat(
  request: AnalysisRequest,
  documents: readonly Document[],
  isChecked: boolean,
): GenerateRequest['format'] {
  if (request.answer === 'text') return { type: 'text' };
  const pageTotal = Math.max(...documents.map(({ pages }) => pages.length));
  return { type: 'json-schema', schema: buildAnswerSchema(request.schema, documents.length, pageTotal, isChecked) };
}

export interface AnalysisAnswer {
  readonly generation: Generation;
  /** Null: the model had no tools. */
  readonly uses: readonly ToolUse[] | null;
  readonly coverage: Coverage;
  /** Null: no draft was checked. */
  readonly reflection: ReflectedAnswer['reflection'];
}

/** What a call was told stands in the documents; only a refusal says something new. */
function presentUse({ name, arguments: text, result }: ToolUse): Record<string, unknown> {
  return { name, arguments: text, error: result.startsWith('error:') ? result : null };
}

/** What the check of a draft came to; `void`: it gave no whole answer. A draft that was changed is shown. */
function presentReflection(
  { draft, isWhole }: NonNullable<AnalysisAnswer['reflection']>,
  answer: ParsedAnswer,
  parse: (content: string) => ParsedAnswer,
): Record<string, unknown> {
  if (!isWhole) return { outcome: 'void' };
  const before = parse(draft);
  const said = (one: ParsedAnswer): string => JSON.stringify([one.answer, one.found, one.citations]);
  if (said(before) === said(answer)) return { outcome: 'kept' };
  return { outcome: 'changed', draft: { answer: before.answer, found: before.found, citations: before.citations } };
}

/** The body of a finished analysis, result version 1. */
export function presentAnalysis(
  id: string,
  request: AnalysisRequest,
  documents: readonly Document[],
  { generation, uses, coverage, reflection }: AnalysisAnswer,
  card: ModelCard,
): Record<string, unknown> {
  const { result } = generation;
  const parse = (content: string): ParsedAnswer =>
    request.answer === 'json' ? parseJsonAnswer(content, documents) : parseTextAnswer(content, documents);
  const parsed = parse(result.content);
  const { raw, ...answer } = parsed;
  return {
    id,
    object: 'analysis',
    version: 1,
    model: card.id,
    status: 'completed',
    ...answer,
    coverage,
    reasoning_content: result.reasoning,
    finish_reason: result.finishReason,
    usage: presentUsage([generation]),
    timing: presentTiming([generation]),
    ext: {
      ...presentExt([generation], card),
      raw,
      ...(uses === null ? {} : { tool_calls: uses.map(presentUse) }),
      ...(reflection === null ? {} : { reflection: presentReflection(reflection, parsed, parse) }),
    },
  };
}
