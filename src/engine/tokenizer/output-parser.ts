import type { GeneratedToolCall } from '../messages.ts';
import type { Tokenizer } from '../ports.ts';
import { findSpecial } from './find-special.ts';

export interface OutputDelta {
  readonly channel: 'reasoning' | 'content';
  readonly text: string;
}

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
  /** Text that became readable with this token; null when none did, as inside a section of tool calls. */
  push(id: number): OutputDelta | null;
  /** What a broken character left behind, as U+FFFD. Call once, at the end. */
  flush(): OutputDelta | null;
  /** Everything so far; complete after `flush`. */
  result(): ParsedOutput;
}

type Phase = 'reasoning' | 'content' | 'tools' | 'ended';

/** Both spellings of the section markers are in use. */
const sectionBeginNames = ['<|tool_calls_section_begin|>', '<|tool_call_section_begin|>'];
const sectionEndNames = ['<|tool_calls_section_end|>', '<|tool_call_section_end|>'];

/** Output starts inside a thought, unless the tokenizer has no tokens for thoughts. */
export function openOutputParser(tokenizer: Tokenizer): OutputParser {
  const [thinkEnd] = findIds(tokenizer, ['</think>']);
  const sectionBegins = findIds(tokenizer, sectionBeginNames);
  const sectionEnds = findIds(tokenizer, sectionEndNames);
  const texts = { reasoning: '', content: '' };
  const toolIds: number[] = [];
  let phase: Phase = thinkEnd === undefined ? 'content' : 'reasoning';
  let decoder = tokenizer.openDecoder();

  const emit = (channel: OutputDelta['channel'], text: string): OutputDelta | null => {
    texts[channel] += text;
    return text === '' ? null : { channel, text };
  };
  const flush = (): OutputDelta | null =>
    phase === 'reasoning' || phase === 'content' ? emit(phase, decoder.flush()) : null;
  const enter = (next: Phase): OutputDelta | null => {
    const rest = flush();
    phase = next;
    decoder = tokenizer.openDecoder();
    return rest;
  };

  return {
    push: (id) => {
      if (phase === 'ended') return null;
      if (phase === 'tools') {
        toolIds.push(id);
        return sectionEnds.includes(id) ? enter('ended') : null;
      }
      if (sectionBegins.includes(id)) return enter('tools');
      if (id === thinkEnd && phase === 'reasoning') return enter('content');
      return emit(phase, decoder.push(id));
    },
    flush,
    result: () => ({ ...texts, toolCalls: parseToolCalls(toolIds, tokenizer) }),
  };
}

/** The same for ids that are all there. */
export function parseOutput(ids: readonly number[], tokenizer: Tokenizer): ParsedOutput {
  const parser = openOutputParser(tokenizer);
  for (const id of ids) parser.push(id);
  parser.flush();
  return parser.result();
}

/**
 * The calls of a section of tool calls. A call cut off inside its arguments is kept as it stands, one without arguments
 * or without an id is no call. Markers of the section itself may be among the ids.
 */
export function parseToolCalls(ids: readonly number[], tokenizer: Tokenizer): readonly GeneratedToolCall[] {
  const [callBegin] = findIds(tokenizer, ['<|tool_call_begin|>']);
  const [argumentBegin] = findIds(tokenizer, ['<|tool_call_argument_begin|>']);
  const ends = findIds(tokenizer, ['<|tool_call_end|>', ...sectionEndNames]);
  const calls: GeneratedToolCall[] = [];
  let idIds: number[] | null = null;
  let argumentIds: number[] | null = null;
  const endCall = (): void => {
    const id = idIds === null ? '' : tokenizer.decode(idIds).trim();
    if (id !== '' && argumentIds !== null) {
      calls.push({ id, name: nameOf(id), arguments: tokenizer.decode(argumentIds).trim() });
    }
    idIds = null;
    argumentIds = null;
  };
  for (const id of ids) {
    if (id === callBegin) {
      endCall();
      idIds = [];
    } else if (ends.includes(id)) endCall();
    else if (id === argumentBegin && argumentIds === null) argumentIds = [];
    else (argumentIds ?? idIds)?.push(id);
  }
  endCall();
  return calls;
}

/** `functions.<name>:<idx>`, the prefix and the number both optional. */
function nameOf(id: string): string {
  return id.replace(/^functions\./, '').replace(/:\d+$/, '');
}

function findIds(tokenizer: Tokenizer, names: readonly string[]): readonly number[] {
  return names.map((name) => findSpecial(tokenizer, name)).filter((id) => id !== null);
}
