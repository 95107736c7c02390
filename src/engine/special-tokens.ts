import type { Tokenizer } from './ports.ts';
import { findSpecial } from './tokenizer/find-special.ts';

/** Ids with a meaning for the decode loop; null where the tokenizer has no such token. */
export interface SpecialTokens {
  readonly thinkStart: number | null;
  readonly thinkEnd: number | null;
  readonly toolTokens: readonly number[];
  readonly toolSectionStart: number | null;
  readonly toolSectionEnd: number | null;
  /** Any of these ends the answer. */
  readonly stopIds: readonly number[];
  /** Every id without text: control tokens and unused rows of the embedding table. */
  readonly textless: readonly number[];
}

const toolTokenNames = [
  '<|tool_calls_section_begin|>',
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
  '<|tool_calls_section_end|>',
];

/** @param vocabularySize rows of the head, which may exceed the tokenizer's entries. */
export function readSpecialTokens(
  tokenizer: Tokenizer,
  vocabularySize: number,
  stopIds: readonly number[],
): SpecialTokens {
  const textless: number[] = [];
  for (let id = 0; id < vocabularySize; id++) {
    if (id >= tokenizer.vocabularySize || tokenizer.tokenBytes(id).length === 0) textless.push(id);
  }
  const toolTokens = toolTokenNames.map((name) => findSpecial(tokenizer, name)).filter((id) => id !== null);
  return {
    thinkStart: findSpecial(tokenizer, '<think>'),
    thinkEnd: findSpecial(tokenizer, '</think>'),
    toolTokens: toolTokens.length === toolTokenNames.length ? toolTokens : [],
    toolSectionStart: findSpecial(tokenizer, '<|tool_calls_section_begin|>'),
    toolSectionEnd: findSpecial(tokenizer, '<|tool_calls_section_end|>'),
    stopIds,
    textless,
  };
}
