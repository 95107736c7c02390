import type { LineState, RequestState } from '../../src/batch/index.ts';
import type { GenerateCheckpoint } from '../../src/engine/index.ts';
import { generateResult } from './generate-result.ts';

/** A checkpoint of an answer of so many tokens. */
export function checkpointOf(tokens: number, more: Partial<GenerateCheckpoint> = {}): GenerateCheckpoint {
  return {
    version: 1,
    engineDigest: 'e'.repeat(64),
    promptDigest: 'p'.repeat(64),
    tokenIds: Array.from({ length: tokens }, (_, place) => 100 + place),
    draws: tokens,
    logprobs: null,
    cachedTokens: 256,
    cacheMiss: null,
    pages: ['a'.repeat(64)],
    ...more,
  };
}

export function runningAt(tokens: number, more: Partial<RequestState> = {}): RequestState {
  const state = { type: 'running', retries: 0, resumed: null, wastedTokens: 0, checkpoint: checkpointOf(tokens) };
  return { ...state, ...more } as RequestState;
}

/** One line with one answer on its way, and one with an answer that is there and a repair on its way. */
export const sampleLines: readonly LineState[] = [
  {
    index: 0,
    requests: {
      'batch_a/0': runningAt(3, {
        retries: 1,
        resumed: 'tokens',
        wastedTokens: 7,
        checkpoint: checkpointOf(2, {
          cacheMiss: 'first_of_group',
          logprobs: [{ id: 100, bytes: [195], logprob: -0.25, top: [{ id: 101, bytes: [169, 10], logprob: -2.5 }] }],
        }),
      }),
      'batch_a/0/1': runningAt(0, { checkpoint: null, retries: 2 }),
    },
  },
  {
    index: 5,
    requests: {
      'batch_a/5': {
        type: 'ended',
        retries: 0,
        resumed: null,
        wastedTokens: 0,
        result: generateResult({
          content: 'Grüße, 終わり',
          toolCalls: [{ id: 'functions.look:0', name: 'look', arguments: '{"page":3}' }],
          finishReason: 'tool_calls',
          schemaError: 'answer/days is no number',
        }),
      },
      'batch_a/5/repair': runningAt(64),
    },
  },
];
