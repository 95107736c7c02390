import type { ChatMessage } from '../../../src/engine/messages.ts';
import type { Tokenizer } from '../../../src/engine/ports.ts';
import { encodePrompt } from '../../../src/engine/tokenizer/chat-template.ts';
import { chatMessage } from '../../support/test-engine.ts';
import { FastRandom } from './fast-random.ts';
import { wordOf } from './word-vocabulary.ts';

/** A header of three tokens and the end: what the prompt format puts around the words of a message. */
const messageFrame = 4;
const answerHeader = 3;
/** Tokens of a long own part that no other sequence has. */
export const lastOwn = 64;

export interface BenchPrompt {
  readonly messages: readonly ChatMessage[];
  /** Leading messages that other prompts have too. */
  readonly sharedMessages: number;
  /** What both engines read. */
  readonly ids: readonly number[];
  /** Leading ids of the shared messages. */
  readonly sharedTokens: number;
}

/** Writes prompts of exact lengths; words are drawn anew for every part, and the same for equal arguments. */
export class PromptWriter {
  readonly #tokenizer: Tokenizer;
  readonly #words: number;

  constructor(tokenizer: Tokenizer, words: number) {
    this.#tokenizer = tokenizer;
    this.#words = words;
  }

  /**
   * @param shared tokens of a system message that is the same for equal `document`; 0: none
   * @param own tokens of everything behind it, the header of the answer included
   */
  write(shared: number, own: number, document: number, question: number): BenchPrompt {
    const system = shared === 0 ? own - 2 * messageFrame - answerHeader : shared - messageFrame;
    const parts =
      shared === 0
        ? [
            this.#text('system', question, Math.floor(system / 2)),
            this.#text('user', -question - 1, Math.ceil(system / 2)),
          ]
        : [
            this.#text('system', document, system),
            this.#text('user', -question - 1, own - messageFrame - answerHeader),
          ];
    const sharedMessages = shared === 0 ? 0 : 1;
    const { ids, sharedTokens } = encodePrompt(this.#tokenizer, parts, null, sharedMessages);
    if (ids.length !== shared + own || sharedTokens !== shared) {
      const wanted = `${shared} shared and ${own} own tokens`;
      throw new Error(
        `a prompt of ${sharedTokens} shared and ${ids.length - sharedTokens} own tokens, wanted ${wanted}`,
      );
    }
    return { messages: parts, sharedMessages, ids, sharedTokens };
  }

  /**
   * Nothing is shared, but most words are the same for equal `document`: an engine that keeps what it has read copies
   * them, each sequence for itself.
   */
  writeOwn(own: number, document: number, question: number): BenchPrompt {
    return { ...this.write(own - lastOwn, lastOwn, document, question), sharedMessages: 0, sharedTokens: 0 };
  }

  #text(role: 'system' | 'user', seed: number, words: number): ChatMessage {
    const random = new FastRandom(seed * 2 + (role === 'system' ? 101 : 100));
    const drawn = Array.from({ length: words }, () => ` ${wordOf((random.next() >>> 0) % this.#words)}`);
    return chatMessage(role, drawn.join(''));
  }
}
