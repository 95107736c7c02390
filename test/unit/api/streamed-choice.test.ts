import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredChoice } from '../../../src/api/stream/stored-choice.ts';
import { StreamedChoice } from '../../../src/api/stream/streamed-choice.ts';
import type { LineDelta, ToolCallPiece } from '../../../src/queue/index.ts';

const none = { at: 0, text: '' };

const deltaOf = (completionTokens: number, more: Partial<LineDelta>): LineDelta => ({
  choice: 0,
  completionTokens,
  reasoning: none,
  content: none,
  toolCalls: [],
  logprobs: null,
  ...more,
});

const content = (tokens: number, at: number, text: string): LineDelta => deltaOf(tokens, { content: { at, text } });

const stored = (more: Partial<StoredChoice> = {}): StoredChoice => ({
  reasoning: '',
  content: '',
  toolCalls: [],
  logprobs: null,
  finishReason: 'stop',
  ...more,
});

/** What a client has when it joins all deltas it got. */
class Client {
  reasoning = '';
  content = '';
  readonly calls: { id: string; name: string; arguments: string }[] = [];
  readonly logprobs: unknown[] = [];

  read(choice: StreamedChoice): void {
    for (const { delta, logprobs } of choice.takeUnsent()) {
      const fields = delta as {
        reasoning_content?: string;
        reasoning?: string;
        content?: string;
        tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[];
      };
      expect(fields.reasoning_content).toBe(fields.reasoning);
      this.reasoning += fields.reasoning ?? '';
      this.content += fields.content ?? '';
      for (const { index, id, function: called } of fields.tool_calls ?? []) {
        const call = this.calls[index];
        if (call === undefined) {
          expect(index).toBe(this.calls.length);
          this.calls.push({ id: id ?? '', name: called.name ?? '', arguments: called.arguments });
        } else call.arguments += called.arguments;
      }
      if (logprobs !== null) this.logprobs.push(...(logprobs['content'] as unknown[]));
    }
  }
}

describe('StreamedChoice', () => {
  it('hands on what comes, once', () => {
    const choice = new StreamedChoice();
    const client = new Client();
    expect(choice.take(content(1, 0, 'one'))).toBe(true);
    client.read(choice);
    expect(choice.takeUnsent()).toEqual([]);
    expect(choice.take(content(1, 0, 'one'))).toBe(false);
    expect(choice.take(content(2, 3, ' two'))).toBe(true);
    client.read(choice);
    expect(client.content).toBe('one two');
  });

  it('takes nothing behind a gap, and everything from the stored answer', () => {
    const choice = new StreamedChoice();
    const client = new Client();
    choice.take(content(1, 0, 'one'));
    expect(choice.take(content(3, 7, ' three'))).toBe(false);
    client.read(choice);
    expect(client.content).toBe('one');
    choice.complete(stored({ content: 'one two three' }));
    client.read(choice);
    expect(client.content).toBe('one two three');
  });

  it('goes on when the lost piece comes after all, as when the line runs again', () => {
    const choice = new StreamedChoice();
    choice.take(content(1, 0, 'one'));
    choice.take(content(3, 7, ' three'));
    const client = new Client();
    client.read(choice);
    // another worker begins at the beginning, in other pieces
    expect(choice.take(content(1, 0, 'on'))).toBe(false);
    expect(choice.take(content(2, 2, 'e two'))).toBe(true);
    expect(choice.take(content(3, 7, ' three'))).toBe(true);
    client.read(choice);
    expect(client.content).toBe('one two three');
  });

  it('keeps what reads first in front: content does not overtake lost reasoning', () => {
    const choice = new StreamedChoice();
    choice.take(deltaOf(1, { reasoning: { at: 0, text: 'Look' } }));
    expect(choice.take(deltaOf(4, { reasoning: { at: 9, text: '' }, content: { at: 0, text: 'x' } }))).toBe(false);
  });

  it('says nothing more when news contradict what is sent, until the stored answer decides', () => {
    const choice = new StreamedChoice();
    choice.take(content(1, 0, 'one'));
    choice.takeUnsent();
    // a run that is behind tells as much as one that is ahead
    expect(choice.take(content(0, 0, 'o-'))).toBe(false);
    expect(choice.take(content(3, 3, ' more'))).toBe(false);
    expect(() => choice.complete(stored({ content: 'other' }))).toThrow(
      expect.objectContaining({ code: 'transient.stream-diverged' }),
    );
  });

  it('forgets what contradicts as long as it is not sent', () => {
    const choice = new StreamedChoice();
    choice.take(content(1, 0, 'one'));
    choice.complete(stored({ content: 'other' }));
    const client = new Client();
    client.read(choice);
    expect(client.content).toBe('other');
  });

  it('begins a tool call with id and name, and lets its arguments follow', () => {
    const choice = new StreamedChoice();
    const piece = (index: number, at: number, text: string, id: string | null = null): ToolCallPiece => ({
      index,
      id,
      name: id === null ? null : 'look',
      arguments: { at, text },
    });
    choice.take(deltaOf(1, { toolCalls: [piece(0, 0, '', 'functions.look:0'), piece(0, 0, '{"a"')] }));
    choice.take(
      deltaOf(2, { toolCalls: [piece(0, 4, ':1'), piece(0, 6, '}'), piece(1, 0, '{}', 'functions.look:1')] }),
    );
    expect(choice.takeUnsent().map(({ delta }) => delta['tool_calls'])).toEqual([
      [{ index: 0, id: 'functions.look:0', type: 'function', function: { name: 'look', arguments: '' } }],
      [{ index: 0, function: { arguments: '{"a":1}' } }],
      [{ index: 1, id: 'functions.look:1', type: 'function', function: { name: 'look', arguments: '' } }],
      [{ index: 1, function: { arguments: '{}' } }],
    ]);
    // a piece of a call whose beginning was lost
    expect(choice.take(deltaOf(3, { toolCalls: [piece(2, 0, '{')] }))).toBe(false);
    expect(choice.take(deltaOf(3, { toolCalls: [piece(3, 0, '{', 'functions.look:3')] }))).toBe(false);
    expect(choice.take(deltaOf(3, { toolCalls: [piece(1, 5, '{')] }))).toBe(false);
  });

  it('refuses an answer with other tool calls than it began', () => {
    const sent = (): StreamedChoice => {
      const choice = new StreamedChoice();
      choice.take(deltaOf(1, { toolCalls: [{ index: 0, id: 'a', name: 'look', arguments: { at: 0, text: '{' } }] }));
      choice.takeUnsent();
      return choice;
    };
    for (const toolCalls of [
      [],
      [{ id: 'b', name: 'look', arguments: '{}' }],
      [{ id: 'a', name: 'find', arguments: '{}' }],
      [{ id: 'a', name: 'look', arguments: '[]' }],
    ]) {
      expect(() => sent().complete(stored({ toolCalls }))).toThrow(/computed again/);
    }
    expect(() => sent().complete(stored({ toolCalls: [{ id: 'a', name: 'look', arguments: '{}' }] }))).not.toThrow();
  });

  it('sends each log-probability once, the last ones from the stored answer', () => {
    const choice = new StreamedChoice();
    const client = new Client();
    const tokens = ['a', 'b', 'c', 'd'].map((token) => ({ token }));
    choice.take({ ...content(2, 0, 'ab'), logprobs: { at: 0, tokens: tokens.slice(0, 2) } });
    choice.take({ ...content(3, 1, 'bc'), logprobs: { at: 1, tokens: tokens.slice(1, 3) } });
    expect(choice.take({ ...content(9, 3, 'x'), logprobs: { at: 8, tokens: [] } })).toBe(false);
    client.read(choice);
    choice.complete(stored({ content: 'abc', logprobs: tokens }));
    client.read(choice);
    expect(client.logprobs).toEqual(tokens);
  });

  it('drops news while nobody reads, beyond a bound', () => {
    const choice = new StreamedChoice();
    const piece = 'x'.repeat(1 << 18);
    const taken = Array.from({ length: 12 }, (_, index) =>
      choice.take(content(index + 1, index * piece.length, piece)),
    );
    expect(taken.filter(Boolean).length).toBeLessThan(7);
    const client = new Client();
    client.read(choice);
    const whole = piece.repeat(12);
    choice.complete(stored({ content: whole }));
    client.read(choice);
    expect(client.content).toBe(whole);
  });
});

/** The news that a worker sends of an answer cut at `cuts`: reasoning, then content, then the arguments of one call. */
function newsOf(answer: StoredChoice, cuts: readonly number[]): LineDelta[] {
  const [call] = answer.toolCalls;
  const whole = [answer.reasoning.length, answer.content.length, call?.arguments.length ?? 0];
  const total = whole.reduce((sum, length) => sum + length, 0);
  const places = [...new Set([0, ...cuts.map((cut) => cut % (total + 1)), total])].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => {
    const start = places[index] ?? 0;
    const slice = (text: string, offset: number) => {
      const at = Math.min(text.length, Math.max(0, start - offset));
      return { at, text: text.slice(at, Math.max(at, Math.min(text.length, end - offset))) };
    };
    const [reasoningEnd, contentEnd] = [answer.reasoning.length, answer.reasoning.length + answer.content.length];
    const hasCall = call !== undefined && end > contentEnd;
    const part = slice(call?.arguments ?? '', contentEnd);
    const begins = part.at === 0;
    return deltaOf(end, {
      reasoning: slice(answer.reasoning, 0),
      content: slice(answer.content, reasoningEnd),
      toolCalls: hasCall
        ? [{ index: 0, id: begins ? call.id : null, name: begins ? call.name : null, arguments: part }]
        : [],
    });
  });
}

const anyAnswer = fc
  .record({
    reasoning: fc.string({ maxLength: 12 }),
    content: fc.string({ maxLength: 12 }),
    call: fc.string({ maxLength: 8 }),
    hasCall: fc.boolean(),
  })
  .map(({ reasoning, content: text, call, hasCall }) =>
    stored({
      reasoning,
      content: text,
      toolCalls: hasCall ? [{ id: 'functions.look:0', name: 'look', arguments: `{${call}` }] : [],
    }),
  );
const anyCuts = fc.array(fc.nat(40), { maxLength: 8 });
/** What befalls a piece of news: it comes, is lost, comes twice, or the client reads behind it. */
const anyFates = fc.array(fc.constantFrom('come', 'lost', 'twice', 'read'), { minLength: 24, maxLength: 24 });

describe('StreamedChoice, whatever befalls the news', () => {
  it('gives exactly the stored answer when every run of the line computes it', () => {
    fc.assert(
      fc.property(anyAnswer, fc.array(anyCuts, { minLength: 1, maxLength: 3 }), anyFates, (answer, runs, fates) => {
        const choice = new StreamedChoice();
        const client = new Client();
        const news = runs.flatMap((cuts) => newsOf(answer, cuts));
        for (const [index, delta] of news.entries()) {
          const fate = fates[index % fates.length];
          if (fate !== 'lost') choice.take(delta);
          if (fate === 'twice') choice.take(delta);
          if (fate === 'read') client.read(choice);
          expect(answer.reasoning.startsWith(client.reasoning)).toBe(true);
          expect(answer.content.startsWith(client.content)).toBe(true);
        }
        choice.complete(answer);
        client.read(choice);
        expect(client).toMatchObject({ reasoning: answer.reasoning, content: answer.content });
        expect(client.calls).toEqual(answer.toolCalls);
      }),
    );
  });

  it('never gives anything but the stored answer or an error when the runs differ', () => {
    fc.assert(
      fc.property(
        anyAnswer,
        anyAnswer,
        anyCuts,
        anyCuts,
        fc.integer({ min: 0, max: 6 }),
        anyFates,
        (one, other, a, b, died, fates) => {
          const choice = new StreamedChoice();
          const client = new Client();
          const news = [...newsOf(one, a).slice(0, died), ...newsOf(other, b)];
          for (const [index, delta] of news.entries()) {
            if (fates[index % fates.length] !== 'lost') choice.take(delta);
            if (fates[index % fates.length] === 'read') client.read(choice);
          }
          const isBeginning =
            other.reasoning.startsWith(client.reasoning) &&
            other.content.startsWith(client.content) &&
            client.calls.length <= other.toolCalls.length &&
            client.calls.every((call, index) => other.toolCalls[index]?.arguments.startsWith(call.arguments));
          if (isBeginning) {
            choice.complete(other);
            client.read(choice);
            expect(client).toMatchObject({ reasoning: other.reasoning, content: other.content });
            expect(client.calls).toEqual(other.toolCalls);
          } else {
            expect(() => choice.complete(other)).toThrow(
              expect.objectContaining({ code: 'transient.stream-diverged' }),
            );
          }
        },
      ),
    );
  });
});
