import { describe, expect, it } from 'vitest';
import { parseAnalysisRequest } from '../../../src/batch/analysis-request.ts';
import { parseLineRequest } from '../../../src/batch/request-validation.ts';

const models = ['quire-nano'];
const document = { name: 'memo.md', text: 'Notice period: 60 days.' };
const body = { model: 'quire-nano', documents: [document], question: 'What is the notice period?' };
const parse = (more: Record<string, unknown> = {}): ReturnType<typeof parseAnalysisRequest> =>
  parseAnalysisRequest({ ...body, ...more }, models);

describe('parseAnalysisRequest', () => {
  it('fills defaults: json, temperature 0, no seed', () => {
    expect(parse()).toEqual({
      model: 'quire-nano',
      documents: [document],
      question: 'What is the notice period?',
      answer: 'json',
      schema: null,
      maxTokens: null,
      seed: null,
      temperature: 0,
      thinkingBudget: null,
      maxToolCalls: null,
      reflect: false,
    });
  });

  it('reads the three kinds of documents', () => {
    const fileId = `file-${'a'.repeat(24)}`;
    const { documents } = parse({ documents: [{ file_id: fileId }, { key: 'inbox/a.md' }, document] });
    expect(documents).toEqual([{ fileId }, { key: 'inbox/a.md' }, document]);
  });

  it('takes a schema as a wish for json', () => {
    const schema = { type: 'string' };
    expect(parse({ schema })).toMatchObject({ answer: 'json', schema });
    expect(() => parse({ schema, answer: 'text' })).toThrow(/schema needs answer "json"/);
  });

  it('gives tools with a number of calls', () => {
    expect(parse({ tools: true }).maxToolCalls).toBe(32);
    expect(parse({ tools: true, max_tool_calls: 300 }).maxToolCalls).toBe(300);
    expect(parse({ tools: false }).maxToolCalls).toBeNull();
    expect(() => parse({ tools: true, max_tool_calls: 513 })).toThrow(/max_tool_calls is 513/);
  });

  it.each([
    ['documents', [], 'input.invalid-request', 'documents'],
    ['documents', undefined, 'input.invalid-request', 'documents'],
    ['documents', [{ file_id: 'file-1/../x' }], 'input.document-not-found', 'documents[0].file_id'],
    ['documents', [{ key: 'v1/default/batches/x/output.jsonl' }], 'input.document-not-found', 'documents[0].key'],
    ['documents', [{ key: 'é'.repeat(513) }], 'input.invalid-request', 'documents[0].key'],
    ['documents', [{ name: 'a.md' }], 'input.invalid-request', 'documents[0]'],
    ['documents', [{ name: 'a.md', text: '' }], 'input.invalid-request', 'documents[0].text'],
    ['documents', [{ key: 'inbox/a', text: 'b' }], 'input.unknown-field', 'documents[0].text'],
    ['documents', ['a.md'], 'input.invalid-request', 'documents[0]'],
    ['question', '', 'input.invalid-request', 'question'],
    ['answer', 'yaml', 'input.invalid-request', 'answer'],
    ['schema', [], 'input.invalid-request', 'schema'],
    ['temperature', 3, 'input.invalid-request', 'temperature'],
    ['thinking_budget', -1, 'input.invalid-request', 'thinking_budget'],
    ['tools', 'yes', 'input.invalid-request', 'tools'],
    ['reflect', 1, 'input.invalid-request', 'reflect'],
    ['max_tool_calls', 3, 'input.invalid-request', 'max_tool_calls'],
    ['stream', true, 'input.unsupported', 'stream'],
    ['top_p', 1, 'input.unknown-field', 'top_p'],
    ['model', 'other', 'input.model-not-found', 'model'],
  ])('refuses %s = %j', (field, value, code, param) => {
    expect(() => parse({ [field]: value })).toThrow(expect.objectContaining({ code, param }));
  });
});

describe('parseLineRequest', () => {
  it('goes by the url', () => {
    const chat = { model: 'quire-nano', messages: [{ role: 'user', content: 'a' }] };
    expect(parseLineRequest('/v1/analyses', body, models)).toMatchObject({ type: 'analysis' });
    expect(parseLineRequest('/v1/chat/completions', chat, models)).toMatchObject({ type: 'chat' });
    expect(parseLineRequest('/v1/embeddings', { model: 'quire-nano', input: 'a' }, models)).toMatchObject({
      type: 'embeddings',
    });
    expect(() => parseLineRequest('/v1/chat/completions', body, models)).toThrow(/unknown fields documents, question/);
  });

  it('streams only where it is told that somebody listens', () => {
    const chat = { model: 'quire-nano', messages: [{ role: 'user', content: 'a' }], stream: true };
    expect(() => parseLineRequest('/v1/chat/completions', chat, models)).toThrow(/answered as a whole/);
    expect(parseLineRequest('/v1/chat/completions', chat, models, { streaming: true })).toMatchObject({
      chat: { stream: { includeUsage: false } },
    });
  });
});
