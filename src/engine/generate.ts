import { AppError } from '../base/errors.ts';
import { AnswerState } from './answer-state.ts';
import { LatentBuffer } from './kv/latent-buffer.ts';
import type { PrefixSlot } from './kv/prefix-slot.ts';
import type { GenerateProgress, GenerateRequest, GenerateResult } from './messages.ts';
import { blockRows, type Grammar, type GrammarCompiler, type ModelRunner, type Tokenizer } from './ports.ts';
import { extendSuffix, prefillPrefix } from './prefill.ts';
import { openSampler } from './sample/sampler.ts';
import type { SpecialTokens } from './special-tokens.ts';
import { validateJson } from './structured/json-schema.ts';
import { encodePrompt } from './tokenizer/chat-template.ts';

export interface GenerateDeps {
  readonly runner: ModelRunner;
  readonly tokenizer: Tokenizer;
  readonly grammars: GrammarCompiler;
  readonly special: SpecialTokens;
  readonly slot: PrefixSlot;
  /** One block of zero rows that prefix prefill reads as its empty own part. */
  readonly scratch: LatentBuffer;
  readonly nowMs: () => number;
}

interface Prompt {
  readonly ids: readonly number[];
  /** Where the shared prefix ends, in whole blocks: a property of the request alone. */
  readonly splitRows: number;
  readonly maxTokens: number;
}

/**
 * One request from prompt to answer: split, prefill what the slot lacks, extend, decode.
 * @param between lets the process breathe between two runs and throws when the request was cancelled.
 * @throws `input.context-length`, `input.schema`
 */
export async function generate(
  deps: GenerateDeps,
  request: GenerateRequest,
  between: () => Promise<void>,
  report: (progress: GenerateProgress) => void,
): Promise<Omit<GenerateResult, 'queueMs'>> {
  const startMs = deps.nowMs();
  // said before anything is done, so that a request that ends the process by its text or schema alone is known for it
  report({ phase: 'prefill', promptTokens: 0, prefilledTokens: 0, completionTokens: 0 });
  const prompt = encodeRequest(deps, request);
  const grammar = request.format.type === 'text' ? null : await deps.grammars.compile(request.format);
  try {
    return await run(deps, request, prompt, grammar, startMs, between, report);
  } finally {
    grammar?.close();
  }
}

function encodeRequest(deps: GenerateDeps, request: GenerateRequest): Prompt {
  const { ids, sharedTokens } = encodePrompt(deps.tokenizer, request.messages, request.tools, request.sharedMessages);
  const window = deps.runner.contextTokens;
  // one token of answer is the least a request can ask for
  if (ids.length + 1 > window) {
    throw new AppError(
      'input.context-length',
      `prompt of ${ids.length} tokens does not fit the model's window of ${window} tokens with at least 1 for the answer`,
      { details: { promptTokens: ids.length, contextTokens: window }, param: 'messages' },
    );
  }
  const splitRows = Math.floor(Math.min(sharedTokens, ids.length - 1) / blockRows) * blockRows;
  const room = window - ids.length;
  return { ids, splitRows, maxTokens: Math.min(request.maxTokens ?? room, room) };
}

async function run(
  deps: GenerateDeps,
  request: GenerateRequest,
  prompt: Prompt,
  grammar: Grammar | null,
  startMs: number,
  between: () => Promise<void>,
  report: (progress: GenerateProgress) => void,
): Promise<Omit<GenerateResult, 'queueMs'>> {
  const { runner, slot } = deps;
  const sampler = openSampler({ seed: request.seed, temperature: request.temperature, topP: request.topP });
  const answer = new AnswerState(request, deps.tokenizer, deps.special, grammar, sampler, prompt.maxTokens);
  const promptTokens = prompt.ids.length;
  const onPrefill = async (prefilledTokens: number): Promise<void> => {
    await between();
    report({ phase: 'prefill', promptTokens, prefilledTokens, completionTokens: 0 });
  };
  const cachedTokens = await prefillPrefix(runner, slot, deps.scratch, prompt.ids, prompt.splitRows, onPrefill);

  const own = new LatentBuffer(runner.layers, runner.latentWidth);
  let rows = prompt.splitRows;
  let pending = [...prompt.ids.slice(rows), ...answer.takeForced()];
  let step = onPrefill;
  let prefillEndMs = 0;
  while (!answer.ended) {
    const logits = await extendSuffix(runner, slot, own, prompt.splitRows, rows, pending, step);
    rows += pending.length;
    if (prefillEndMs === 0) prefillEndMs = deps.nowMs();
    const id = await answer.next(logits);
    if (id === null || answer.ended) break;
    pending = [id, ...answer.takeForced()];
    step = async () => {
      await between();
      const phase = answer.phase === 'think' ? 'think' : 'answer';
      report({ phase, promptTokens, prefilledTokens: promptTokens, completionTokens: answer.completionTokens });
    };
  }
  const endMs = deps.nowMs();
  const result = answer.result();
  return {
    ...result,
    schemaError: schemaErrorOf(request, result),
    promptTokens,
    cachedTokens,
    prefillMs: (prefillEndMs || endMs) - startMs,
    decodeMs: prefillEndMs === 0 ? 0 : endMs - prefillEndMs,
    cacheMiss: cacheMissOf(prompt.splitRows, cachedTokens),
  };
}

/** Keywords such as `not` and `uniqueItems` are for the finished answer; one that was cut off breaks everything. */
function schemaErrorOf(
  { format }: GenerateRequest,
  { content, finishReason }: Pick<GenerateResult, 'content' | 'finishReason'>,
): string | null {
  if (format.type !== 'json-schema') return null;
  if (finishReason === 'length') return 'the answer was cut off at its token limit';
  try {
    return validateJson(format.schema, JSON.parse(content));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function cacheMissOf(splitRows: number, cachedTokens: number): GenerateResult['cacheMiss'] {
  if (splitRows === 0) return 'below_minimum';
  return cachedTokens === 0 ? 'first_of_group' : null;
}
