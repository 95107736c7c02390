import type { ChatRequest } from '../batch/index.ts';
import type { GenerateRequest, GenerateResult, ModelCard } from '../engine/index.ts';
import { presentExt, presentTiming, presentUsage } from './wire.ts';

/** Longest answer, reasoning included, when the caller names none. */
export const defaultChatTokens = 2_048;

/** Everything before the last message is what other lines may share. */
export function buildChatRequest(id: string, request: ChatRequest, seed: number, priority: number): GenerateRequest {
  const maxTokens = request.maxTokens ?? defaultChatTokens;
  const needsForm = request.format.type !== 'text';
  return {
    id,
    messages: request.messages,
    tools: request.tools,
    sharedMessages: request.messages.length - 1,
    maxTokens,
    temperature: request.temperature,
    topP: request.topP,
    seed: request.seed ?? seed,
    stop: request.stop,
    // an answer with a form keeps half of the tokens; free text may think as long as it likes
    thinkingBudget: request.thinkingBudget ?? (needsForm ? Math.floor(maxTokens / 2) : null),
    format: request.format,
    priority,
  };
}

/** OpenAI's chat completion, reasoning under both names that clients read. */
export function presentChatCompletion(
  id: string,
  createdSeconds: number,
  result: GenerateResult,
  card: ModelCard,
  attempts: number,
): Record<string, unknown> {
  const toolCalls = result.toolCalls.map((call) => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  }));
  return {
    id,
    object: 'chat.completion',
    created: createdSeconds,
    model: card.id,
    choices: [
      {
        index: 0,
        logprobs: null,
        finish_reason: result.finishReason,
        message: {
          role: 'assistant',
          content: result.content,
          refusal: null,
          reasoning_content: result.reasoning,
          reasoning: result.reasoning,
          ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
        },
      },
    ],
    usage: presentUsage(result),
    system_fingerprint: card.digest.slice(0, 16),
    ext: { ...presentExt(result, card, attempts), timing: presentTiming(result) },
  };
}
