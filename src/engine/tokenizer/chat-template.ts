import type { ChatMessage, GenerateRequest } from '../messages.ts';
import type { Tokenizer } from '../ports.ts';
import { checkTools, formatOf, type PromptFormat, thinkingFormat } from './prompt-format.ts';

/**
 * The prompt format of the Kimi-K2 family. Special tokens and text stay apart until they are ids, so that text which
 * reads `<|im_end|>` stays text. A model that thinks begins its answer with `<think>` by itself.
 */
export type Segment = { readonly special: string } | { readonly text: string };

type Tools = GenerateRequest['tools'];

/** Segments of a whole prompt: tools, messages, and the header of the answer to come. No two texts are adjacent. */
export function renderChat(
  messages: readonly ChatMessage[],
  tools: Tools,
  format: PromptFormat = thinkingFormat,
): readonly Segment[] {
  const preamble = renderPreamble(messages, tools, format);
  return joinTexts([...preamble, ...renderMessages(messages, format).flat(), ...generationHeader]);
}

export interface EncodedPrompt {
  readonly ids: number[];
  /** How many leading ids belong to the tools, the system text and the first `sharedMessages` messages. */
  readonly sharedTokens: number;
}

/**
 * In the format of the tokenizer's model.
 * @throws `input.model-folder` when the tokenizer lacks a special token of the format; `input.unsupported` for tools
 *   that the model cannot call
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  tools: Tools,
  sharedMessages: number,
): EncodedPrompt {
  const format = formatOf(tokenizer);
  checkTools(format, messages, tools);
  const rendered = renderMessages(messages, format);
  const preamble = renderPreamble(messages, tools, format);
  const shared = sharedMessages === 0 ? [] : [preamble, ...rendered.slice(0, sharedMessages)];
  const own = sharedMessages === 0 ? [preamble, ...rendered] : rendered.slice(sharedMessages);
  // every message ends in a special token, so text never joins across this border
  const sharedIds = encodeSegments(tokenizer, shared.flat());
  const ids = [...sharedIds, ...encodeSegments(tokenizer, [...own.flat(), ...generationHeader])];
  return { ids, sharedTokens: sharedIds.length };
}

function encodeSegments(tokenizer: Tokenizer, segments: readonly Segment[]): number[] {
  const ids: number[] = [];
  for (const segment of joinTexts(segments)) {
    if ('special' in segment) ids.push(tokenizer.specialId(segment.special));
    else for (const id of tokenizer.encodePlain(segment.text)) ids.push(id);
  }
  return ids;
}

const special = (token: string): Segment => ({ special: token });
const text = (content: string): Segment => ({ text: content });

const generationHeader: readonly Segment[] = renderHeader('assistant', 'assistant');

function renderHeader(role: ChatMessage['role'], name: string): readonly Segment[] {
  const token = role === 'user' ? '<|im_user|>' : role === 'assistant' ? '<|im_assistant|>' : '<|im_system|>';
  return [special(token), text(name), special('<|im_middle|>')];
}

function renderTurn(role: ChatMessage['role'], name: string, body: readonly Segment[]): readonly Segment[] {
  return [...renderHeader(role, name), ...body, special('<|im_end|>')];
}

function renderPreamble(messages: readonly ChatMessage[], tools: Tools, format: PromptFormat): readonly Segment[] {
  const hasSystem = messages[0]?.role === 'system';
  return [
    ...(tools !== null && tools.length > 0
      ? renderTurn('system', 'tool_declare', [text(format.renderTools(tools))])
      : []),
    ...(hasSystem
      ? []
      : [...renderTurn('system', 'system', [text(format.defaultSystem)]), text(format.afterDefaultSystem)]),
  ];
}

function renderMessages(messages: readonly ChatMessage[], { thinks }: PromptFormat): readonly (readonly Segment[])[] {
  // thoughts are kept while a chain of tool calls runs, and dropped once a plain answer has ended it
  const lastAnswer = messages.findLastIndex(({ role, toolCalls }) => role === 'assistant' && !hasCalls(toolCalls));
  return messages.map((message, index) => {
    const thought = thinks && index > lastAnswer ? (message.reasoning ?? '') : '';
    return renderTurn(message.role, message.name ?? message.role, renderBody(message, thinks, thought));
  });
}

function renderBody(message: ChatMessage, thinks: boolean, thought: string): readonly Segment[] {
  const { role, content, toolCalls, toolCallId } = message;
  if (role === 'tool') return [text(`## Return of ${toolCallId ?? ''}\n${content}`)];
  if (role !== 'assistant') return [text(content)];
  const thinking = thinks ? [special('<think>'), text(thought), special('</think>')] : [];
  return [...thinking, text(content), ...renderToolCalls(toolCalls)];
}

function hasCalls(toolCalls: ChatMessage['toolCalls']): toolCalls is NonNullable<ChatMessage['toolCalls']> {
  return toolCalls !== null && toolCalls.length > 0;
}

function renderToolCalls(toolCalls: ChatMessage['toolCalls']): readonly Segment[] {
  if (!hasCalls(toolCalls)) return [];
  const calls = toolCalls.flatMap((call) => [
    special('<|tool_call_begin|>'),
    text(call.id),
    special('<|tool_call_argument_begin|>'),
    text(call.arguments),
    special('<|tool_call_end|>'),
  ]);
  return [special('<|tool_calls_section_begin|>'), ...calls, special('<|tool_calls_section_end|>')];
}

function joinTexts(segments: readonly Segment[]): readonly Segment[] {
  const joined: Segment[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if ('special' in segment) joined.push(segment);
    else if (last !== undefined && 'text' in last) joined[joined.length - 1] = text(last.text + segment.text);
    else if (segment.text !== '') joined.push(segment);
  }
  return joined;
}
