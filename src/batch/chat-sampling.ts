import type { SamplingOptions } from '../engine/index.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readBoolean,
  readInteger,
  readNumber,
  show,
} from './request-fields.ts';

export type ChatSampling = Omit<SamplingOptions, 'seed'>;

/** OpenAI's range of both penalties. */
const penalty = { min: -2, max: 2 };

/** More than the entries of any vocabulary: whoever asks for so many asks for all. */
const maxTopK = 1_000_000;

/** Outside of it a token that occurred is as good as forbidden, or as good as certain. */
const repetition = { min: 0.1, max: 10 };

/**
 * How tokens are drawn: OpenAI's fields, and `top_k`, `min_p`, `repetition_penalty` as vLLM names them.
 * @throws `input.invalid-request` naming the field
 */
export function parseSampling(body: Body): ChatSampling {
  return {
    temperature: readNumber(body, 'temperature', { min: 0, max: 2 }) ?? 1,
    topP: readNumber(body, 'top_p', { min: 0, max: 1, aboveMin: true }) ?? 1,
    // both 0 and -1 mean all
    topK: Math.max(0, readInteger(body, 'top_k', { min: -1, max: maxTopK }) ?? 0),
    minP: readNumber(body, 'min_p', { min: 0, max: 1, belowMax: true }) ?? 0,
    presencePenalty: readNumber(body, 'presence_penalty', penalty) ?? 0,
    frequencyPenalty: readNumber(body, 'frequency_penalty', penalty) ?? 0,
    repetitionPenalty: readNumber(body, 'repetition_penalty', repetition) ?? 1,
    logitBias: parseLogitBias(body['logit_bias']),
  };
}

/** A bias a token is a table of one's own, not a setting: this many name every letter and digit in several spellings. */
const maxBiases = 1_024;
const maxBias = 100;
const tokenId = /^(?:0|[1-9]\d{0,8})$/;

function parseLogitBias(value: unknown): ChatSampling['logitBias'] {
  if (isAbsent(value)) return null;
  if (!isPlainObject(value)) {
    throw invalid('logit_bias', `logit_bias is ${show(value)}; it must be an object of token ids and numbers`);
  }
  const entries = Object.entries(value);
  if (entries.length > maxBiases) {
    throw invalid('logit_bias', `logit_bias has ${entries.length} tokens; at most ${maxBiases} are allowed`);
  }
  const biases = entries.map(([id, bias]): readonly [number, number] => {
    if (!tokenId.test(id)) {
      throw invalid('logit_bias', `logit_bias has the key ${show(id)}; keys must be token ids, whole numbers from 0`);
    }
    if (typeof bias !== 'number' || Math.abs(bias) > maxBias) {
      const path = `logit_bias.${id}`;
      throw invalid(path, `${path} is ${show(bias)}; it must be a number from ${-maxBias} up to ${maxBias}`);
    }
    return [Number(id), bias];
  });
  return biases.length === 0 ? null : biases;
}

const maxTopLogprobs = 20;

/** `logprobs` and `top_logprobs` as one number of alternatives; null when not asked for. */
export function parseLogprobs(body: Body): number | null {
  const asked = readBoolean(body, 'logprobs') ?? false;
  const top = readInteger(body, 'top_logprobs', { min: 0, max: maxTopLogprobs }) ?? 0;
  if (asked) return top;
  if (top > 0) throw invalid('top_logprobs', `top_logprobs is ${top}; it needs logprobs true`);
  return null;
}
