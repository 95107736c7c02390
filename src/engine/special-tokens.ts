import type { Tokenizer } from './ports.ts';
import { findSpecial } from './tokenizer/find-special.ts';
import { findToolMarkers, type ToolMarkers } from './tokenizer/tool-markers.ts';

/** Ids with a meaning for the decode loop; null where the tokenizer has no such token. */
export interface SpecialTokens {
  /** Both or neither: a thought that cannot be closed is none. */
  readonly thinkStart: number | null;
  readonly thinkEnd: number | null;
  /** Null: the model cannot call tools. */
  readonly toolMarkers: ToolMarkers | null;
  /** Any of these ends the answer. */
  readonly stopIds: readonly number[];
  /** Every id without text: control tokens and unused rows of the embedding table. */
  readonly textless: readonly number[];
}

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
  const [thinkStart, thinkEnd] = [findSpecial(tokenizer, '<think>'), findSpecial(tokenizer, '</think>')];
  const canThink = thinkStart !== null && thinkEnd !== null;
  return {
    thinkStart: canThink ? thinkStart : null,
    thinkEnd: canThink ? thinkEnd : null,
    toolMarkers: findToolMarkers(tokenizer),
    stopIds,
    textless,
  };
}
