import { canonicalJson } from '../../base/canonical-json.ts';
import { AppError } from '../../base/errors.ts';
import type { ChatMessage, GenerateRequest } from '../messages.ts';
import type { Tokenizer } from '../ports.ts';
import { findSpecial } from './find-special.ts';

type Tools = NonNullable<GenerateRequest['tools']>;

/** What differs between the prompts of the family's models. */
export interface PromptFormat {
  /** An answer begins with a thought, also a past one whose thought is left out. */
  readonly thinks: boolean;
  readonly hasTools: boolean;
  /** In place of a missing system message. */
  readonly defaultSystem: string;
  /** Behind the end of that message. */
  readonly afterDefaultSystem: string;
  readonly renderTools: (tools: Tools) => string;
}

const kimiSystem = 'You are Kimi, an AI assistant created by Moonshot AI.';

/** Kimi-K2-Thinking and later. */
export const thinkingFormat: PromptFormat = {
  thinks: true,
  hasTools: true,
  defaultSystem: kimiSystem,
  afterDefaultSystem: '',
  renderTools: canonicalJson,
};

/** Kimi-K2-Instruct. */
export const instructFormat: PromptFormat = {
  thinks: false,
  hasTools: true,
  defaultSystem: kimiSystem,
  afterDefaultSystem: '\n',
  renderTools: spacedJson,
};

/** Moonlight-Instruct. */
export const plainFormat: PromptFormat = {
  thinks: false,
  hasTools: false,
  defaultSystem: 'You are a helpful assistant provided by Moonshot-AI.',
  afterDefaultSystem: '',
  renderTools: spacedJson,
};

/** The format a model was trained on, told by the special tokens that its tokenizer names. */
export function formatOf(tokenizer: Tokenizer): PromptFormat {
  const has = (token: string): boolean => findSpecial(tokenizer, token) !== null;
  const hasTools = has('<|tool_calls_section_begin|>');
  if (has('<think>') && has('</think>')) return hasTools ? thinkingFormat : { ...thinkingFormat, hasTools };
  return hasTools ? instructFormat : plainFormat;
}

/** @throws `input.unsupported` for tools, or traces of them, where the format has no way to write them */
export function checkTools(format: PromptFormat, messages: readonly ChatMessage[], tools: Tools | null): void {
  if (format.hasTools) return;
  const what = 'the model has no tokens for tool calls';
  if (tools !== null && tools.length > 0) {
    throw new AppError('input.unsupported', `tools cannot be used: ${what}`, { param: 'tools' });
  }
  const index = messages.findIndex(({ role, toolCalls }) => role === 'tool' || (toolCalls?.length ?? 0) > 0);
  if (index >= 0) {
    const param = `messages[${index}]`;
    throw new AppError('input.unsupported', `${param} is about a tool call: ${what}`, { param });
  }
}

/** Keys as they came, a space after commas and colons, as Python writes JSON. */
function spacedJson(value: unknown): string {
  // line ends within texts are escaped, so those in the output are all layout
  return JSON.stringify(value, null, 1).replace(/,\n */g, ', ').replace(/\n */g, '');
}
