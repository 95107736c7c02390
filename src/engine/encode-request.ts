import { createHash } from 'node:crypto';
import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { GenerateRequest } from './messages.ts';
import { blockRows, type Tokenizer } from './ports.ts';
import { encodePrompt } from './tokenizer/chat-template.ts';

export interface EncodedRequest {
  readonly ids: readonly number[];
  /**
   * Rows of the prefix that the request reads from a window: whole blocks, always before its last token. A property of
   * request and engine, never of what runs beside it or of what is cached.
   */
  readonly splitRows: number;
  /** Rows of the prompt's whole blocks; those behind `splitRows` are the request's own. */
  readonly blockedRows: number;
  readonly maxTokens: number;
  /** sha256 over the ids: a checkpoint of another prompt is told by it. */
  readonly digest: string;
}

/** Equal for requests that share tenant, tools and leading messages. */
export function prefixKeyOf(request: GenerateRequest): string {
  return sha256Hex(JSON.stringify([request.tenant, request.tools, request.messages.slice(0, request.sharedMessages)]));
}

export interface EncodeLimits {
  /** Of the model. */
  readonly windowTokens: number;
  /** Rows that fit into memory when one request has all of it. */
  readonly memoryTokens: number;
  /** A prompt's own part up to so many tokens stays apart from the prefix. */
  readonly ownTokens: number;
}

/** Messages → token ids. @throws `input.context-length` */
export function encodeRequest(tokenizer: Tokenizer, request: GenerateRequest, limits: EncodeLimits): EncodedRequest {
  const { messages, tools, sharedMessages } = request;
  const { ids, sharedTokens } = encodePrompt(tokenizer, messages, tools, sharedMessages);
  const most = Math.min(limits.windowTokens, limits.memoryTokens);
  // one token of answer is the least a request can ask for
  if (ids.length + 1 > most) throw tooLong(ids.length, limits);
  const room = most - ids.length;
  // The window cuts an answer the same way everywhere; memory would on this machine only.
  const asked = Math.min(request.maxTokens ?? 0, limits.windowTokens - ids.length);
  if (asked > room) throw tooLong(ids.length, limits, asked);
  return {
    ids,
    splitRows: splitRowsOf(sharedTokens, ids.length, limits.ownTokens),
    blockedRows: Math.floor(ids.length / blockRows) * blockRows,
    maxTokens: Math.min(request.maxTokens ?? room, room),
    digest: createHash('sha256').update(Uint32Array.from(ids)).digest('hex'),
  };
}

function tooLong(promptTokens: number, { windowTokens, memoryTokens }: EncodeLimits, answerTokens = 1): AppError {
  const limit =
    memoryTokens < windowTokens
      ? `the ${memoryTokens} tokens that the memory for latents holds`
      : `the model's window of ${windowTokens} tokens`;
  return new AppError(
    'input.context-length',
    `prompt of ${promptTokens} tokens does not fit ${limit} with ${answerTokens === 1 ? 'at least 1' : answerTokens} for the answer`,
    { details: { promptTokens, contextTokens: Math.min(windowTokens, memoryTokens) }, param: 'messages' },
  );
}

/**
 * What is shared, in whole blocks; of a prompt that has a long part of its own, all of it. A short prompt that shares
 * nothing has no prefix at all: such prompts then decode together, whatever they say.
 */
function splitRowsOf(sharedTokens: number, promptTokens: number, mostOwn: number): number {
  const ownTokens = promptTokens - sharedTokens;
  const prefixTokens = ownTokens <= mostOwn ? sharedTokens : promptTokens;
  return Math.floor(Math.min(prefixTokens, promptTokens - 1) / blockRows) * blockRows;
}
