import type { AnalysisRequest } from '../batch/index.ts';
import type { ChatMessage, GenerateRequest, ModelCard } from '../engine/index.ts';
import { buildAnswerSchema } from './answer.schema.ts';
import type { Document } from './document/document.ts';
import type { Generation } from './generation.ts';
import { parseJsonAnswer, parseTextAnswer } from './parse-answer.ts';
import { buildDocumentBlock } from './prompts/document-block.prompt.ts';
import { buildQuestionBlock } from './prompts/question.prompt.ts';
import { systemTexts } from './prompts/system.prompt.ts';
import { engineDefaults, neutralSampling } from './request-defaults.ts';
import type { LineContext } from './run-chat.ts';
import { presentExt, presentTiming, presentUsage } from './wire.ts';

/** Longest answer, reasoning included, when the caller names none. */
export const defaultAnswerTokens = 1_024;

const message = (role: ChatMessage['role'], content: string): ChatMessage => ({
  role,
  content,
  name: null,
  reasoning: null,
  toolCalls: null,
  toolCallId: null,
});

/** The prompt of one question: system, documents (shared with the other questions), question. */
export function buildAnalysisRequest(
  line: LineContext,
  request: AnalysisRequest,
  documents: readonly Document[],
): GenerateRequest {
  const maxTokens = request.maxTokens ?? defaultAnswerTokens;
  const pageTotal = Math.max(...documents.map(({ pages }) => pages.length));
  return {
    ...engineDefaults,
    id: line.name,
    tenant: line.tenant,
    messages: [
      message('system', systemTexts.qa),
      message('user', buildDocumentBlock(documents)),
      message('user', buildQuestionBlock(request.question, request.answer)),
    ],
    tools: null,
    toolChoice: { type: 'auto' },
    parallelToolCalls: true,
    sharedMessages: 2,
    maxTokens,
    sampling: { ...neutralSampling, temperature: request.temperature, seed: request.seed ?? line.seed },
    logprobs: null,
    stop: [],
    // half of the tokens stay for the answer, so that a long thought cannot leave none
    thinkingBudget: request.thinkingBudget ?? Math.floor(maxTokens / 2),
    format:
      request.answer === 'text'
        ? { type: 'text' }
        : { type: 'json-schema', schema: buildAnswerSchema(request.schema, documents.length, pageTotal) },
    priority: line.priority,
    deadlineMs: line.deadlineMs,
  };
}

/** The body of a finished analysis, result version 1. */
export function presentAnalysis(
  id: string,
  request: AnalysisRequest,
  documents: readonly Document[],
  generation: Generation,
  card: ModelCard,
): Record<string, unknown> {
  const { result } = generation;
  const parse = request.answer === 'json' ? parseJsonAnswer : parseTextAnswer;
  const { raw, ...answer } = parse(result.content, documents);
  const pagesTotal = documents.reduce((total, { pages }) => total + pages.length, 0);
  return {
    id,
    object: 'analysis',
    version: 1,
    model: card.id,
    status: 'completed',
    ...answer,
    coverage: { pages_total: pagesTotal, pages_read: pagesTotal, skipped: [] },
    reasoning_content: result.reasoning,
    finish_reason: result.finishReason,
    usage: presentUsage([generation]),
    timing: presentTiming([generation]),
    ext: { ...presentExt([generation], card), raw },
  };
}
