import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Tokenizer } from '../../../../src/engine/ports.ts';
import { openOutputParser, parseOutput, parseToolCalls } from '../../../../src/engine/tokenizer/output-parser.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';

let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await openTokenizer(fileURLToPath(new URL('../../../../model/quire-nano', import.meta.url)));
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

describe('parseToolCalls', () => {
  it('keeps a call that was cut off in its arguments, as it stands', () => {
    const ids = encode('<|tool_calls_section_begin|>', ...call('functions.search:3', '{"query":"no').slice(0, 4));
    expect(parseToolCalls(ids, tokenizer)).toEqual([
      { id: 'functions.search:3', name: 'search', arguments: '{"query":"no' },
    ]);
  });

  it('drops what is no call: without arguments, without an id, or text between calls', () => {
    const ids = encode(
      'noise',
      '<|tool_call_begin|>',
      'functions.x:0',
      '<|tool_call_end|>',
      ...call('  ', '{}'),
      'noise',
      ...call('lookup', '[]'),
    );
    expect(parseToolCalls(ids, tokenizer)).toEqual([{ id: 'lookup', name: 'lookup', arguments: '[]' }]);
  });
});
