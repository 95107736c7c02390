import { AppError } from '../../src/base/errors.ts';
import type { Tokenizer } from '../../src/engine/ports.ts';

const specials = [
  '<|im_end|>',
  '<|im_user|>',
  '<|im_assistant|>',
  '<|im_system|>',
  '<|im_middle|>',
  '<think>',
  '</think>',
  '<|tool_calls_section_begin|>',
  '<|tool_calls_section_end|>',
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
];

export const byteVocabulary = 256 + specials.length;

/** One token a byte, and the special tokens of the family behind them: tests of the engine without weights or merges. */
export const byteTokenizer: Tokenizer = {
  vocabularySize: byteVocabulary,
  encodePlain: (text) => [...Buffer.from(text, 'utf8')],
  specialId: (token) => {
    const index = specials.indexOf(token);
    if (index < 0) throw new AppError('input.model-folder', `no special token ${token}`);
    return 256 + index;
  },
  tokenBytes: (id) => (id < 256 ? Uint8Array.of(id) : new Uint8Array(0)),
  decode: (ids) => Buffer.from(ids.filter((id) => id < 256)).toString('utf8'),
  openDecoder: () => {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return {
      push: (id) => (id < 256 ? decoder.decode(Uint8Array.of(id), { stream: true }) : ''),
      flush: () => decoder.decode(),
    };
  },
};
