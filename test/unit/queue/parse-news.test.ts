import { describe, expect, it } from 'vitest';
import { parseEvent, parseProgress } from '../../../src/queue/parse-news.ts';

const delta = {
  choice: 0,
  completionTokens: 3,
  reasoning: { at: 0, text: '' },
  content: { at: 4, text: 'more' },
  toolCalls: [{ index: 0, id: 'functions.look:0', name: 'look', arguments: { at: 0, text: '{' } }],
  logprobs: { at: 2, tokens: [{ token: 'more', logprob: -1, bytes: [109], top_logprobs: [] }] },
};

const event = (more: object = {}): unknown => ({ type: 'line-delta', batchId: 'b', delta: { ...delta, ...more } });

describe('parseEvent', () => {
  it.each([
    { type: 'unit-segment', batchId: 'b', unitId: 'u' },
    { type: 'batch-change', batchId: 'b', status: 'completed' },
    event(),
    event({ logprobs: null, toolCalls: [] }),
  ])('reads what was published', (value) => {
    expect(parseEvent(JSON.stringify(value))).toEqual(value);
  });

  it.each<[string, unknown]>([
    ['text that is no JSON', undefined],
    ['null', null],
    ['an event of nobody knows what', { type: 'other', batchId: 'b' }],
    ['an event of no batch', { type: 'unit-end' }],
    ['news without a delta', { type: 'line-delta', batchId: 'b' }],
    ['a choice that is no index', event({ choice: -1 })],
    ['tokens that are no number', event({ completionTokens: '3' })],
    ['text without a place', event({ content: { text: 'x' } })],
    ['a place without text', event({ reasoning: { at: 0 } })],
    ['calls that are no list', event({ toolCalls: null })],
    ['a call without arguments', event({ toolCalls: [{ index: 0, id: null, name: null }] })],
    ['a call whose name is no text', event({ toolCalls: [{ ...delta.toolCalls[0], name: 7 }] })],
    ['log-probabilities without a place', event({ logprobs: { tokens: [] } })],
    ['log-probabilities that are no objects', event({ logprobs: { at: 0, tokens: ['x'] } })],
  ])('is deaf to %s', (_what, value) => {
    expect(parseEvent(value === undefined ? '{' : JSON.stringify(value))).toBeNull();
  });
});

describe('parseProgress', () => {
  it('reads what was saved, and nothing else', () => {
    const progress = { unitId: 'u', atMs: 5, step: 'answer' };
    expect(parseProgress(JSON.stringify(progress))).toEqual(progress);
    expect(parseProgress('{"unitId":"u"}')).toBeNull();
    expect(parseProgress('[')).toBeNull();
  });
});
