import type { Tokenizer } from '../ports.ts';
import { findSpecial } from './find-special.ts';

/** The tokens that a section of tool calls is made of, beside text. */
export interface ToolMarkers {
  readonly sectionStart: number;
  readonly callStart: number;
  /** Between a call's id and its arguments. */
  readonly argumentStart: number;
  readonly callEnd: number;
  readonly sectionEnd: number;
}

/** Both spellings of the section markers are in use; the first one that a tokenizer has is the one to write. */
export const sectionStartNames = ['<|tool_calls_section_begin|>', '<|tool_call_section_begin|>'];
export const sectionEndNames = ['<|tool_calls_section_end|>', '<|tool_call_section_end|>'];
export const callStartName = '<|tool_call_begin|>';
export const argumentStartName = '<|tool_call_argument_begin|>';
export const callEndName = '<|tool_call_end|>';

/** Null when the tokenizer lacks one of them. */
export function findToolMarkers(tokenizer: Tokenizer): ToolMarkers | null {
  const [sectionStart, sectionEnd] = [findIds(tokenizer, sectionStartNames)[0], findIds(tokenizer, sectionEndNames)[0]];
  const [callStart, argumentStart, callEnd] = [callStartName, argumentStartName, callEndName].map((name) =>
    findSpecial(tokenizer, name),
  );
  if (sectionStart === undefined || sectionEnd === undefined) return null;
  if (typeof callStart !== 'number' || typeof argumentStart !== 'number' || typeof callEnd !== 'number') return null;
  return { sectionStart, callStart, argumentStart, callEnd, sectionEnd };
}

/** Of those names that the tokenizer has. */
export function findIds(tokenizer: Tokenizer, names: readonly string[]): readonly number[] {
  return names.map((name) => findSpecial(tokenizer, name)).filter((id) => id !== null);
}
