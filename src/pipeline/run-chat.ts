import { invariant } from '../base/invariant.ts';
import type { ChatRequest } from '../batch/index.ts';
import type { GenerateRequest, GenerateResult, ModelCard } from '../engine/index.ts';
import { choiceSeed } from './derived-seed.ts';
import type { Generations } from './generation.ts';
import type { Generate, OpenDeltas } from './ports.ts';
import { presentLogprobs } from './present-logprobs.ts';
import { generateSound } from './repair-answer.ts';
import { engineDefaults } from './request-defaults.ts';
import type { GenerationOptions } from './run-to-end.ts';
import { runSideBySide } from './side-by-side.ts';
import { presentExt, presentTiming, presentUsage } from './wire.ts';

/** Longest answer, reasoning included, when the caller names none. */
export const defaultChatTokens = 2_048;

/** The line as its engine requests see it. */
export interface LineContext {
  /** Stable name of the line: engine requests and answer ids derive from it. */
  readonly name: string;
  readonly tenant: string;
  /** Used when the request names none. */
  readonly seed: number;
  readonly priority: number;
  /** Unix time by which the line's batch wants its answer; null: any time. */
  readonly deadlineMs: number | null;
}

/** Everything before the last message is what other lines may share; several answers share all of it. */
export function buildChatRequest(line: LineContext, request: ChatRequest, choice: number): GenerateRequest {
  const maxTokens = request.maxTokens ?? defaultChatTokens;
  const needsForm = request.format.type !== 'text';
  return {
    id: choice === 0 ? line.name : `${line.name}/${choice}`,
    tenant: line.tenant,
    messages: request.messages,
    tools: request.tools,
    toolChoice: request.toolChoice,
    argumentSchemas: null,
    parallelToolCalls: request.parallelToolCalls,
    sharedMessages: request.choices > 1 ? request.messages.length : request.messages.length - 1,
    maxTokens,
    sampling: { ...request.sampling, seed: choiceSeed(request.seed ?? line.seed, choice) },
    logprobs: request.logprobs,
    stop: request.stop,
    // an answer with a form keeps half of the tokens; free text may think as long as it likes
    thinkingBudget: request.thinkingBudget ?? (needsForm ? Math.floor(maxTokens / 2) : null),
    format: request.format,
    priority: line.priority,
    deadlineMs: line.deadlineMs,
    // last but one: with a spread in front of them, all of these properties take twenty times as long
    ...engineDefaults,
    stream: request.stream !== null,
  };
}

/** Runs all choices side by side; one that fails is the failure of the line. */
export async function generateChoices(
  generate: Generate,
  line: LineContext,
  request: ChatRequest,
  { signal, onProgress, journal }: Pick<GenerationOptions, 'signal' | 'onProgress' | 'journal'>,
  openDeltas: OpenDeltas | null,
): Promise<Generations> {
  const [first, ...others] = await runSideBySide(request.choices, signal, (choice, joint) =>
    generateSound(generate, buildChatRequest(line, request, choice), {
      signal: joint,
      onProgress,
      journal,
      ...(request.stream === null || openDeltas === null ? {} : { openDeltas: () => openDeltas(choice) }),
    }),
  );
  invariant(first !== undefined, 'a chat request asks for one choice at least');
  return [first, ...others];
}

/** OpenAI's chat completion, reasoning under both names that clients read. */
export function presentChatCompletion(
  id: string,
  createdSeconds: number,
  generations: Generations,
  card: ModelCard,
): Record<string, unknown> {
  return {
    id,
    object: 'chat.completion',
    created: createdSeconds,
    model: card.id,
    choices: generations.map(({ result }, index) => presentChoice(result, index)),
    usage: presentUsage(generations),
    system_fingerprint: card.digest.slice(0, 16),
    ext: { ...presentExt(generations, card), timing: presentTiming(generations) },
  };
}

function presentChoice(result: GenerateResult, index: number): Record<string, unknown> {
  const toolCalls = result.toolCalls.map((call) => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  }));
  return {
    index,
    logprobs: result.logprobs === null ? null : presentLogprobs(result.logprobs),
    finish_reason: result.finishReason,
    message: {
      role: 'assistant',
      content: result.content,
      refusal: null,
      reasoning_content: result.reasoning,
      reasoning: result.reasoning,
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
    },
  };
}
