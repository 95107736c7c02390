import { canonicalJson } from '../../src/base/canonical-json.ts';
import { sha256Hex } from '../../src/base/hash.ts';
import type { GenerateRequest, GenerateResult, ModelCard } from '../../src/engine/index.ts';
import type { Tokenizer } from '../../src/engine/ports.ts';
import { encodePrompt } from '../../src/engine/tokenizer/chat-template.ts';
import type { Generate } from '../../src/pipeline/index.ts';
import { Product, type Reply } from '../eval/product.ts';
import type { SampleDocument, SampleQuestion, Turn } from './sample.ts';

/** What an answer follows from, the model apart: the prompt's tokens, and what may be written behind them. */
export function digestPrompt(tokenizer: Tokenizer, request: GenerateRequest): string {
  const { messages, tools, sharedMessages, format, maxTokens, thinkingBudget, toolChoice, sampling } = request;
  const { ids } = encodePrompt(tokenizer, messages, tools, sharedMessages);
  return sha256Hex(canonicalJson({ ids, format, maxTokens, thinkingBudget, toolChoice, sampling }));
}

/** Stands between prompts and engine, and writes down what passes. One question at a time. */
export class TurnRecorder {
  readonly #tokenizer: Tokenizer;
  #turns: Turn[] = [];

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  readonly watch =
    (generate: Generate): Generate =>
    async (request, options) => {
      const result = await generate(request, options);
      const { reasoning, content, toolCalls, finishReason, schemaError, promptTokens, completionTokens } = result;
      const reply = { reasoning, content, toolCalls, finishReason, schemaError, promptTokens, completionTokens };
      this.#turns.push({ prompt: digestPrompt(this.#tokenizer, request), reply });
      return result;
    };

  /** What has passed since the last call. */
  take(): readonly Turn[] {
    const turns = this.#turns;
    this.#turns = [];
    return turns;
  }
}

export interface Replay {
  /** Digests of the prompts that were built this time. */
  readonly prompts: readonly string[];
  readonly reply: Reply;
}

/** The question once more, with the recorded replies in place of an engine: prompts, tool results and answer are made anew. */
export async function replay(
  tokenizer: Tokenizer,
  card: ModelCard,
  document: SampleDocument,
  question: SampleQuestion,
): Promise<Replay> {
  const prompts: string[] = [];
  const product = new Product(async (request) => {
    const turn = question.recorded.turns[prompts.length];
    prompts.push(digestPrompt(tokenizer, request));
    if (turn === undefined) throw new Error(`nothing was recorded for request ${prompts.length}`);
    return { ...unmeasured, ...turn.reply };
  }, card);
  return { prompts, reply: await product.ask(document, question) };
}

const unmeasured: Omit<GenerateResult, keyof Turn['reply']> = {
  logprobs: null,
  cachedTokens: 0,
  reasoningTokens: 0,
  resumedTokens: 0,
  resumed: null,
  prefillMs: 0,
  decodeMs: 0,
  queueMs: 0,
  cacheMiss: null,
};
