import type { GeneratedToolCall, ToolCallDelta } from '../messages.ts';
import type { Tokenizer } from '../ports.ts';
import { ToolCallParser } from './tool-call-parser.ts';
import { findIds, sectionEndNames, sectionStartNames } from './tool-markers.ts';

export type OutputDelta =
  | { readonly channel: 'reasoning' | 'content'; readonly text: string }
  | { readonly channel: 'tool-call'; readonly call: ToolCallDelta };

export interface ParsedOutput {
  readonly reasoning: string;
  readonly content: string;
  readonly toolCalls: readonly GeneratedToolCall[];
}

/**
 * Splits generated ids while they come. By ids, never by text: a model that writes the letters `</think>` has not
 * ended its thought. Control tokens give no text.
 */
export interface OutputParser {
  /** What became readable with this token; null when nothing did. */
  push(id: number): OutputDelta | null;
  /** What a broken character left behind, as U+FFFD. Call once, at the end. */
  flush(): OutputDelta | null;
  /** Everything so far; complete after `flush`. */
  result(): ParsedOutput;
}

type Phase = 'reasoning' | 'content' | 'tools' | 'ended';

/** Output starts inside a thought, unless the tokenizer has no tokens for thoughts. */
export function openOutputParser(tokenizer: Tokenizer): OutputParser {
  const [thinkStart] = findIds(tokenizer, ['<think>']);
  const [thinkEnd] = findIds(tokenizer, ['</think>']);
  const sectionStarts = findIds(tokenizer, sectionStartNames);
  const sectionEnds = findIds(tokenizer, sectionEndNames);
  const texts = { reasoning: '', content: '' };
  const calls = new ToolCallParser(tokenizer);
  let phase: Phase = thinkStart === undefined || thinkEnd === undefined ? 'content' : 'reasoning';
  let decoder = tokenizer.openDecoder();

  const emit = (channel: 'reasoning' | 'content', text: string): OutputDelta | null => {
    texts[channel] += text;
    return text === '' ? null : { channel, text };
  };
  const emitCall = (call: ToolCallDelta | null): OutputDelta | null =>
    call === null ? null : { channel: 'tool-call', call };
  const flush = (): OutputDelta | null => {
    if (phase === 'ended') return null;
    return phase === 'tools' ? emitCall(calls.flush()) : emit(phase, decoder.flush());
  };
  const enter = (next: Phase): OutputDelta | null => {
    const rest = flush();
    phase = next;
    decoder = tokenizer.openDecoder();
    return rest;
  };

  return {
    push: (id) => {
      if (phase === 'ended') return null;
      if (phase === 'tools') return sectionEnds.includes(id) ? enter('ended') : emitCall(calls.push(id));
      if (sectionStarts.includes(id)) return enter('tools');
      if (id === thinkEnd && phase === 'reasoning') return enter('content');
      return emit(phase, decoder.push(id));
    },
    flush,
    result: () => ({ ...texts, toolCalls: calls.calls }),
  };
}

/** The same for ids that are all there. */
export function parseOutput(ids: readonly number[], tokenizer: Tokenizer): ParsedOutput {
  const parser = openOutputParser(tokenizer);
  for (const id of ids) parser.push(id);
  parser.flush();
  return parser.result();
}
