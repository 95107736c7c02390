import type { ChatMessage, GeneratedToolCall, GenerateRequest, GenerateResult } from '../engine/index.ts';
import { type Generation, joinEfforts } from './generation.ts';
import type { Generate } from './ports.ts';
import { generateSound } from './repair-answer.ts';
import type { GenerationOptions } from './run-to-end.ts';
import type { ToolRegistry } from './tools/registry.ts';

/** A call the model made, and what it was told. */
export interface ToolUse {
  readonly name: string;
  readonly arguments: string;
  readonly result: string;
}

export interface ToolAnswer {
  readonly generation: Generation;
  readonly uses: readonly ToolUse[];
  /** The conversation before the answer. */
  readonly messages: readonly ChatMessage[];
}

/** Of `maxTokens` one part in so many is kept from turns that may call tools. */
const answerShare = 8;

/**
 * Runs a request to its answer: while the model calls tools, they are run and it is asked again with their results.
 * `maxTokens` counts over all turns. When `maxCalls` are made, or but an eighth of the tokens is left, the model has no
 * tools any more and must answer; a turn that was cut there is dropped.
 *
 * Each turn is an engine request with an id of its own, so a new owner finds those that have ended in the journal; the
 * tools are pure, so running them again gives the same results, and the line goes on in the middle of its chain.
 * @throws as `generateSound`
 */
export async function generateWithTools(
  generate: Generate,
  request: GenerateRequest,
  registry: ToolRegistry,
  maxCalls: number,
  options: GenerationOptions,
): Promise<ToolAnswer> {
  const uses: ToolUse[] = [];
  const turns: Generation[] = [];
  const reserve = Math.floor((request.maxTokens ?? 0) / answerShare);
  let messages = request.messages;
  let left = request.maxTokens ?? Number.POSITIVE_INFINITY;
  for (;;) {
    const isLast = uses.length >= maxCalls || left <= reserve;
    const turn = buildTurn(request, { messages, left: isLast ? left : left - reserve, number: turns.length });
    const { declarations, argumentSchemas } = registry;
    const tools = isLast ? null : declarations;
    const generation = await generateSound(generate, { ...turn, tools, argumentSchemas }, options);
    turns.push(generation);
    const { result } = generation;
    left -= result.completionTokens;
    // an answer that was cut by the window has no room for another one
    const isCut = result.finishReason === 'length' && left <= reserve;
    if (isLast || left <= 0 || !(isCut || result.finishReason === 'tool_calls'))
      return { generation: joinTurns(turns), uses, messages };
    if (isCut) continue;
    const results = result.toolCalls.map((call, index) => answerCall(registry, call, uses.length + index < maxCalls));
    uses.push(...results);
    messages = [...messages, callMessage(result), ...results.map((use, index) => resultMessage(result, index, use))];
  }
}

interface TurnPlace {
  readonly messages: readonly ChatMessage[];
  /** Tokens it may take. */
  readonly left: number;
  readonly number: number;
}

function buildTurn(request: GenerateRequest, { messages, left, number }: TurnPlace): GenerateRequest {
  const maxTokens = request.maxTokens === null ? null : left;
  const { thinkingBudget } = request;
  return {
    ...request,
    id: number === 0 ? request.id : `${request.id}/turn-${number}`,
    messages,
    maxTokens,
    // half of what is left stays for the answer
    thinkingBudget:
      thinkingBudget === null || maxTokens === null
        ? thinkingBudget
        : Math.min(thinkingBudget, Math.floor(maxTokens / 2)),
  };
}

function answerCall(registry: ToolRegistry, call: GeneratedToolCall, isAllowed: boolean): ToolUse {
  const result = isAllowed
    ? registry.call(call.name, call.arguments)
    : 'error: no more tool calls are allowed; answer from what was read';
  return { name: call.name, arguments: call.arguments, result };
}

function callMessage({ content, reasoning, toolCalls }: GenerateResult): ChatMessage {
  const calls = toolCalls.map((call) => ({ id: call.id, arguments: call.arguments }));
  return { role: 'assistant', content, name: null, reasoning, toolCalls: calls, toolCallId: null };
}

function resultMessage({ toolCalls }: GenerateResult, index: number, { result }: ToolUse): ChatMessage {
  const toolCallId = toolCalls[index]?.id ?? null;
  return { role: 'tool', content: result, name: null, reasoning: null, toolCalls: null, toolCallId };
}

/** The last turn's answer, with what all turns thought and cost. */
function joinTurns(turns: readonly Generation[]): Generation {
  const results = turns.map(({ result }) => result);
  const last = turns.at(-1) as Generation;
  const thoughts = results.map(({ reasoning }) => reasoning).filter((thought) => thought !== '');
  return {
    result: { ...last.result, reasoning: thoughts.join('\n') },
    earlier: results.slice(0, -1),
    repair: last.repair,
    effort: joinEfforts(turns.map(({ effort }) => effort)),
  };
}
