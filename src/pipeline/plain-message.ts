import type { ChatMessage } from '../engine/index.ts';

/** A turn that is words and nothing else. */
export function plainMessage(role: ChatMessage['role'], content: string): ChatMessage {
  return { role, content, name: null, reasoning: null, toolCalls: null, toolCallId: null };
}
