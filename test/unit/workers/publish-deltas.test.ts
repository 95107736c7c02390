import { describe, expect, it } from 'vitest';
import { StreamedChoice } from '../../../src/api/stream/streamed-choice.ts';
import type { GenerateDelta } from '../../../src/engine/index.ts';
import type { QuireEvent } from '../../../src/queue/index.ts';
import { parseEvent } from '../../../src/queue/parse-news.ts';
import { buildDeltaPublisher } from '../../../workers/compose/publish-deltas.ts';
import { FakeBus } from '../../support/fake-queue.ts';

const delta = (completionTokens: number, more: Partial<GenerateDelta>): GenerateDelta => ({
  reasoning: '',
  content: '',
  toolCalls: [],
  logprobs: null,
  completionTokens,
  ...more,
});

const chance = { id: 7, bytes: [72], logprob: -0.5, top: [] };

function publish(deltas: readonly GenerateDelta[], choice = 0): QuireEvent[] {
  const bus = new FakeBus();
  const take = buildDeltaPublisher(bus, 'batch_1')(choice);
  for (const one of deltas) take(one);
  return bus.events;
}

describe('buildDeltaPublisher', () => {
  it('gives every piece its place, text by text', () => {
    const call = { index: 0, id: 'functions.look:0', name: 'look', arguments: '' };
    const events = publish(
      [
        delta(1, { reasoning: 'Hm' }),
        delta(2, { reasoning: '.', content: 'Hi', logprobs: [chance] }),
        delta(3, {
          content: '!',
          logprobs: [chance],
          toolCalls: [call, { ...call, id: null, name: null, arguments: '{' }],
        }),
        delta(4, {
          toolCalls: [
            { ...call, id: null, name: null, arguments: '}' },
            { ...call, index: 1 },
          ],
        }),
      ],
      2,
    );
    expect(events.map((event) => event.type === 'line-delta' && event.delta)).toMatchObject([
      {
        choice: 2,
        completionTokens: 1,
        reasoning: { at: 0, text: 'Hm' },
        content: { at: 0, text: '' },
        logprobs: null,
      },
      {
        reasoning: { at: 2, text: '.' },
        content: { at: 0, text: 'Hi' },
        logprobs: { at: 0, tokens: [{ token: 'H' }] },
      },
      {
        content: { at: 2, text: '!' },
        logprobs: { at: 1, tokens: [{ token: 'H', logprob: -0.5, bytes: [72], top_logprobs: [] }] },
        toolCalls: [
          { index: 0, id: 'functions.look:0', name: 'look', arguments: { at: 0, text: '' } },
          { index: 0, id: null, name: null, arguments: { at: 0, text: '{' } },
        ],
      },
      {
        toolCalls: [
          { index: 0, arguments: { at: 1, text: '}' } },
          { index: 1, arguments: { at: 0, text: '' } },
        ],
      },
    ]);
  });

  it('says what every reader understands', () => {
    const events = publish([
      delta(1, { reasoning: 'Hm' }),
      delta(2, { content: 'H', logprobs: [chance] }),
      delta(3, { toolCalls: [{ index: 0, id: 'functions.look:0', name: 'look', arguments: '{}' }] }),
    ]);
    const choice = new StreamedChoice();
    for (const event of events) {
      const heard = parseEvent(JSON.stringify(event));
      expect(heard).toEqual(event);
      if (heard?.type === 'line-delta') expect(choice.take(heard.delta)).toBe(true);
    }
    expect(choice.takeUnsent().map((sent) => Object.keys(sent.delta)[0])).toEqual([
      'reasoning_content',
      'content',
      'tool_calls',
      'tool_calls',
    ]);
  });

  it('begins again with each try', () => {
    const bus = new FakeBus();
    const open = buildDeltaPublisher(bus, 'batch_1');
    open(0)(delta(1, { content: 'Hi' }));
    open(0)(delta(1, { content: 'Hi' }));
    expect(bus.events[1]).toEqual(bus.events[0]);
  });
});
