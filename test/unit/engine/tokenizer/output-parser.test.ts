import { beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../../src/base/errors.ts';
import type { Tokenizer } from '../../../../src/engine/ports.ts';
import { type OutputDelta, openOutputParser, parseOutput } from '../../../../src/engine/tokenizer/output-parser.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { testModelDir } from '../../../support/test-model.ts';

let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await openTokenizer(testModelDir);
});

/** `<…>` parts become special tokens, all others plain text. */
const encode = (...parts: readonly string[]): number[] =>
  parts.flatMap((part) => (/^<.*>$/.test(part) ? [tokenizer.specialId(part)] : tokenizer.encodePlain(part)));

const call = (id: string, text: string): readonly string[] => [
  '<|tool_call_begin|>',
  id,
  '<|tool_call_argument_begin|>',
  text,
  '<|tool_call_end|>',
];

describe('parseOutput', () => {
  it('splits thought from answer and strips the markers', () => {
    const ids = encode('<think>', 'hm, 60?', '</think>', '60 days', '<|im_end|>');
    expect(parseOutput(ids, tokenizer)).toEqual({ reasoning: 'hm, 60?', content: '60 days', toolCalls: [] });
  });

  it('starts inside the thought, and takes everything for thought when it never ends', () => {
    expect(parseOutput(encode('still thinking'), tokenizer)).toEqual({
      reasoning: 'still thinking',
      content: '',
      toolCalls: [],
    });
  });

  it('goes by ids: letters that read like a marker end nothing', () => {
    const ids = [...encode('<think>'), ...tokenizer.encodePlain('</think><|im_end|>'), ...encode('</think>', 'x')];
    expect(parseOutput(ids, tokenizer)).toMatchObject({ reasoning: '</think><|im_end|>', content: 'x' });
  });

  it('reads tool calls, and keeps their section out of the content', () => {
    const ids = encode(
      '<think>',
      'look',
      '</think>',
      'One moment.',
      '<|tool_calls_section_begin|>',
      ...call('functions.read_pages:0', ' {"document":1,"from":2,"to":3} '),
      ...call(' functions.note:1\n', '{}'),
      '<|tool_calls_section_end|>',
      'ignored',
      '<|im_end|>',
    );
    expect(parseOutput(ids, tokenizer)).toEqual({
      reasoning: 'look',
      content: 'One moment.',
      toolCalls: [
        { id: 'functions.read_pages:0', name: 'read_pages', arguments: '{"document":1,"from":2,"to":3}' },
        { id: 'functions.note:1', name: 'note', arguments: '{}' },
      ],
    });
  });

  it('ends the thought where a section of tool calls begins', () => {
    const ids = encode('need it', '<|tool_calls_section_begin|>', ...call('functions.a.b:7', '{}'));
    expect(parseOutput(ids, tokenizer)).toEqual({
      reasoning: 'need it',
      content: '',
      toolCalls: [{ id: 'functions.a.b:7', name: 'a.b', arguments: '{}' }],
    });
  });
});

describe('openOutputParser', () => {
  it('gives text as it becomes readable, on its channel', () => {
    const parser = openOutputParser(tokenizer);
    const deltas = encode('<think>', '漢', '</think>', 'a').map((id) => parser.push(id));
    expect(deltas.filter((delta) => delta !== null)).toEqual([
      { channel: 'reasoning', text: '漢' },
      { channel: 'content', text: 'a' },
    ]);
  });

  it('gives a character that was cut off as a replacement, on the channel it began on', () => {
    const parser = openOutputParser(tokenizer);
    const [first = 0] = tokenizer.encodePlain('漢');
    expect(parser.push(first)).toBeNull();
    expect(parser.push(tokenizer.specialId('</think>'))).toEqual({ channel: 'reasoning', text: '\ufffd' });
    parser.push(first);
    expect(parser.flush()).toEqual({ channel: 'content', text: '\ufffd' });
    expect(parser.result()).toEqual({ reasoning: '\ufffd', content: '\ufffd', toolCalls: [] });
  });
});

describe('openOutputParser, tool calls', () => {
  const parse = (...parts: readonly string[]) => {
    const parser = openOutputParser(tokenizer);
    const ids = encode('</think>', '<|tool_calls_section_begin|>', ...parts);
    const deltas = [...ids.map((id) => parser.push(id)), parser.flush()].filter((delta) => delta !== null);
    return { deltas, toolCalls: parser.result().toolCalls };
  };

  /** What a reader of the deltas alone has in the end. */
  const join = (deltas: readonly OutputDelta[]) => {
    const calls: { id: string; name: string; arguments: string }[] = [];
    for (const delta of deltas) {
      if (delta.channel !== 'tool-call') continue;
      const { index, id, name, arguments: text } = delta.call;
      if (id !== null && name !== null) calls[index] = { id, name, arguments: text };
      else (calls[index] as { arguments: string }).arguments += text;
    }
    return calls;
  };

  it('announces a call with its id and name, and gives its arguments in pieces', () => {
    const { deltas, toolCalls } = parse(
      ...call('functions.note:0', '{"text":"漢"}'),
      ...call('functions.note:1', '{}'),
    );
    expect(deltas[0]).toEqual({
      channel: 'tool-call',
      call: { index: 0, id: 'functions.note:0', name: 'note', arguments: '' },
    });
    expect(deltas.length).toBeGreaterThan(5);
    expect(join(deltas)).toEqual(toolCalls);
    expect(toolCalls).toEqual([
      { id: 'functions.note:0', name: 'note', arguments: '{"text":"漢"}' },
      { id: 'functions.note:1', name: 'note', arguments: '{}' },
    ]);
  });

  it('leaves out white space around arguments, never within them', () => {
    const { deltas, toolCalls } = parse(...call('a', ' \n {"b": 1,\n "c": 2} \n'));
    expect(toolCalls).toEqual([{ id: 'a', name: 'a', arguments: '{"b": 1,\n "c": 2}' }]);
    expect(join(deltas)).toEqual(toolCalls);
  });

  it('keeps a call that was cut off in its arguments, as it stands', () => {
    const { deltas, toolCalls } = parse(...call('functions.search:3', '{"query":"no ').slice(0, 4));
    expect(toolCalls).toEqual([{ id: 'functions.search:3', name: 'search', arguments: '{"query":"no' }]);
    expect(join(deltas)).toEqual(toolCalls);
  });

  it('gives a character that was cut off as a replacement', () => {
    const parser = openOutputParser(tokenizer);
    for (const id of encode('<|tool_calls_section_begin|>', ...call('a', '"').slice(0, 4))) parser.push(id);
    const [first = 0] = tokenizer.encodePlain('漢');
    expect(parser.push(first)).toBeNull();
    expect(parser.flush()).toMatchObject({ call: { arguments: '\ufffd' } });
    expect(parser.result().toolCalls).toEqual([{ id: 'a', name: 'a', arguments: '"\ufffd' }]);
  });

  it('ends a call where the next one begins, and where the section ends', () => {
    const parts = [...call('a', '1').slice(0, 4), ...call('b', '2').slice(0, 4), '<|tool_calls_section_end|>', 'noise'];
    const { deltas, toolCalls } = parse(...parts);
    expect(toolCalls).toEqual([
      { id: 'a', name: 'a', arguments: '1' },
      { id: 'b', name: 'b', arguments: '2' },
    ]);
    expect(join(deltas)).toEqual(toolCalls);
  });

  it('drops what is no call: without arguments, without an id, or text between calls', () => {
    const { deltas, toolCalls } = parse(
      'noise',
      '<|tool_call_begin|>',
      'functions.x:0',
      '<|tool_call_end|>',
      ...call('  ', '{}'),
      'noise',
      ...call('lookup', '[]'),
    );
    expect(toolCalls).toEqual([{ id: 'lookup', name: 'lookup', arguments: '[]' }]);
    expect(join(deltas)).toEqual(toolCalls);
  });

  it('reads the other spelling of the section markers', () => {
    const renamed = new Map([
      ['<|tool_call_section_begin|>', '<|tool_calls_section_begin|>'],
      ['<|tool_call_section_end|>', '<|tool_calls_section_end|>'],
    ]);
    const other: Tokenizer = {
      ...tokenizer,
      vocabularySize: tokenizer.vocabularySize,
      encodePlain: (text) => tokenizer.encodePlain(text),
      tokenBytes: (id) => tokenizer.tokenBytes(id),
      decode: (some) => tokenizer.decode(some),
      openDecoder: () => tokenizer.openDecoder(),
      specialId: (token) => {
        if ([...renamed.values()].includes(token)) throw new AppError('input.model-folder', `no ${token}`);
        return tokenizer.specialId(renamed.get(token) ?? token);
      },
    };
    const ids = encode(
      '</think>',
      'x',
      '<|tool_calls_section_begin|>',
      ...call('a', '1'),
      '<|tool_calls_section_end|>',
    );
    expect(parseOutput(ids, other)).toEqual({
      reasoning: '',
      content: 'x',
      toolCalls: [{ id: 'a', name: 'a', arguments: '1' }],
    });
  });
});
