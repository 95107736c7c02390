import type { Drafter } from '../../src/engine/draft/drafter.ts';
import { Engine, type EngineOptions } from '../../src/engine/engine.ts';
import { BlockBudget } from '../../src/engine/kv/block-budget.ts';
import { NoPrefixCache } from '../../src/engine/kv/no-prefix-cache.ts';
import { pageBytes } from '../../src/engine/kv/page-shape.ts';
import { RadixPrefixCache } from '../../src/engine/kv/radix-prefix-cache.ts';
import type { RemotePages } from '../../src/engine/kv/remote-pages.ts';
import type {
  ChatMessage,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
} from '../../src/engine/messages.ts';
import type { GenerateListener, ModelRunner, PageTier, Tokenizer } from '../../src/engine/ports.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { readSpecialTokens } from '../../src/engine/special-tokens.ts';
import { openGrammarCompiler } from '../../src/engine/structured/grammar.ts';
import { byteTokenizer } from './byte-tokenizer.ts';
import { neutralSampling } from './neutral-sampling.ts';

export interface TestEngineOptions extends Partial<EngineOptions> {
  /** Blocks of 256 rows in all. */
  readonly blocks?: number;
  readonly tier?: PageTier | null;
  /** To be the last tier of `tier`. */
  readonly remotePages?: RemotePages | null;
  /** False: the plain engine, which keeps nothing. */
  readonly cache?: boolean;
  readonly tokenizer?: Tokenizer;
  readonly nowMs?: () => number;
  /** Guesses of a test's own. */
  readonly drafter?: Drafter<Sequence>;
}

/** An engine around a runner, without a process, and with its books in view. */
export function openTestEngine(runner: ModelRunner, options: TestEngineOptions = {}) {
  const { blocks = 64, tier = null, tokenizer = byteTokenizer } = options;
  const budget = new BlockBudget(blocks, pageBytes(runner));
  const cache = (options.cache ?? true) ? new RadixPrefixCache(budget) : new NoPrefixCache(budget);
  const special = readSpecialTokens(tokenizer, runner.vocabularySize, [tokenizer.specialId('<|im_end|>')]);
  const engine = new Engine(
    {
      runner,
      tokenizer,
      grammars: openGrammarCompiler(tokenizer, special.stopIds),
      special,
      budget,
      cache,
      tier,
      tierStats: () => ({ disk: tier?.stats() ?? null, remote: options.remotePages?.stats() ?? null }),
      remotePages: options.remotePages ?? null,
      nowMs: options.nowMs ?? (() => 0),
      ...(options.drafter === undefined ? {} : { drafter: options.drafter }),
    },
    {
      maxSequences: options.maxSequences ?? 16,
      prefillTokens: options.prefillTokens ?? 256,
      draftTokens: options.draftTokens ?? 8,
    },
  );
  return { engine, budget, cache };
}

export const chatMessage = (role: ChatMessage['role'], content: string): ChatMessage => ({
  role,
  content,
  name: null,
  reasoning: null,
  toolCalls: null,
  toolCallId: null,
});

/** A request with everything at its neutral value: greedy, no thought, 16 tokens of text. */
export function generateRequest(id: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    id,
    tenant: 'default',
    messages: [chatMessage('system', 'Answer.'), chatMessage('user', `Question ${id}?`)],
    tools: null,
    argumentSchemas: null,
    toolChoice: { type: 'auto' },
    parallelToolCalls: true,
    sharedMessages: 0,
    maxTokens: 16,
    sampling: { ...neutralSampling, temperature: 0 },
    logprobs: null,
    stop: [],
    thinkingBudget: 0,
    format: { type: 'text' },
    priority: 1,
    deadlineMs: null,
    stream: false,
    checkpointEvery: null,
    resume: null,
    ...more,
  };
}

/** Forbids the end of an answer, so that it goes on to its last token. */
export const withoutEnd = {
  sampling: { ...generateRequest('').sampling, logitBias: [[byteTokenizer.specialId('<|im_end|>'), -100]] as const },
};

/** Remembers everything an engine says of a request. */
export class RecordingListener implements GenerateListener {
  readonly progress: GenerateProgress[] = [];
  readonly deltas: GenerateDelta[] = [];
  readonly checkpoints: GenerateCheckpoint[] = [];

  onProgress(progress: GenerateProgress): void {
    this.progress.push(progress);
  }

  onDelta(delta: GenerateDelta): void {
    this.deltas.push(delta);
  }

  onCheckpoint(checkpoint: GenerateCheckpoint): void {
    this.checkpoints.push(checkpoint);
  }
}
