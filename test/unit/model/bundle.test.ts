import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readEvaluation } from '../../../model/bundle/evaluation.ts';
import { type CardConfig, renderCard } from '../../../model/bundle/render-card.ts';
import { chooseSample, readSample, type Sample } from '../../../model/bundle/sample.ts';
import { digestPrompt, replay, TurnRecorder } from '../../../model/bundle/turns.ts';
import { extractEvaluation, insertEvaluation } from '../../../model/eval/card.ts';
import type { EvaluationQuestion, EvaluationSet } from '../../../model/eval/evaluation-set.ts';
import { Product } from '../../../model/eval/product.ts';
import type { ModelCard } from '../../../src/engine/index.ts';
import { byteTokenizer } from '../../support/byte-tokenizer.ts';
import { generateResult } from '../../support/generate-result.ts';
import { generateRequest } from '../../support/test-engine.ts';

const question = {
  question: 'What is the fee of Arden?',
  kind: 'look-up',
  answer: 'EUR 1,200',
  found: true,
  rivals: { type: 1, attribute: 1, entity: 0 },
  tools: true,
} as EvaluationQuestion;
const document = {
  name: 'fees.md',
  text: 'The fee of Arden is EUR 1,200.\nThe fee of Bell is EUR 9.',
  questions: [question],
};
const setOf = (name: string, documents: number) =>
  ({
    name,
    documents: Array.from({ length: documents }, () => ({ ...document, questions: [question, question, question] })),
  }) as unknown as EvaluationSet;
const card = {
  id: 'nano',
  notice: null,
  contextTokens: 4_096,
  wholeDocumentTokens: 0,
  parameters: 5.8e6,
  activeParameters: 4.8e6,
} as ModelCard;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'quire-bundle-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('chooseSample', () => {
  it('takes six questions of registers and six of short documents by search', () => {
    const names = [
      'register, a',
      'register, b',
      'register, c',
      'short document, look-up',
      'short document, with search',
      '4K tokens, with search',
    ];
    const chosen = chooseSample(names.map((name) => setOf(name, 5)));
    expect(chosen.map(({ questions }) => questions.length)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it('names the sets there are when one is missing', () => {
    expect(() => chooseSample([setOf('register, a', 1)])).toThrow(
      'no set of short documents by search among "register, a"',
    );
  });
});

describe('replay', () => {
  const call = { id: 'functions.search_document:0', name: 'search_document', arguments: '{"query":"fee Arden"}' };
  const last =
    '{"answer":" EUR 1,200","citations":[{"document":1,"page":1,"quote":" fee of Arden is EUR 1,200"}],"found":true}';
  const replies = [
    generateResult({ toolCalls: [call], finishReason: 'tool_calls' }),
    generateResult({ content: last }),
  ];

  async function record() {
    const recorder = new TurnRecorder(byteTokenizer);
    const left = [...replies];
    const product = new Product(
      recorder.watch(async () => left.shift() ?? generateResult()),
      card,
    );
    const { body } = await product.ask(document, question);
    return {
      ...question,
      recorded: {
        isExact: true,
        isCited: true,
        answer: body['answer'],
        citations: body['citations'],
        turns: recorder.take(),
      },
    };
  }

  it('builds the recorded prompts again, reads the answer again, and sees another document', async () => {
    const recorded = await record();
    expect(recorded.recorded.turns).toHaveLength(2);
    expect(recorded.recorded).toMatchObject({ answer: 'EUR 1,200', citations: [{ verified: true }] });
    const { prompts, reply } = await replay(byteTokenizer, card, { ...document, questions: [recorded] }, recorded);
    expect(prompts).toEqual(recorded.recorded.turns.map(({ prompt }) => prompt));
    expect(reply.body).toMatchObject({ answer: 'EUR 1,200', citations: recorded.recorded.citations });

    const other = { ...document, text: document.text.replace('Arden is', 'Arden was'), questions: [recorded] };
    const changed = await replay(byteTokenizer, card, other, recorded);
    // the outline of a text without headings is the same; what the search finds is not
    expect(changed.prompts[0]).toBe(prompts[0]);
    expect(changed.prompts[1]).not.toBe(prompts[1]);
    expect(changed.reply.body).toMatchObject({ citations: [{ verified: true, written: expect.any(String) }] });
  });

  it('sees a request more than were recorded', async () => {
    const recorded = await record();
    const cut = { ...recorded, recorded: { ...recorded.recorded, turns: recorded.recorded.turns.slice(0, 1) } };
    const { prompts, reply } = await replay(byteTokenizer, card, { ...document, questions: [cut] }, cut);
    expect(prompts).toHaveLength(2);
    expect(reply.isAnswered).toBe(false);
  });

  it.each([
    ['the answer’s form', { format: { type: 'json-schema', schema: { type: 'string' } } }],
    ['the room for it', { maxTokens: 7 }],
    ['the room for thoughts', { thinkingBudget: 7 }],
  ] as const)('counts %s as a part of what is asked', (_, more) => {
    const plain = digestPrompt(byteTokenizer, generateRequest('a'));
    expect(digestPrompt(byteTokenizer, { ...generateRequest('a'), id: 'b', priority: 9 })).toBe(plain);
    expect(digestPrompt(byteTokenizer, generateRequest('a', more))).not.toBe(plain);
  });
});

describe('the card', () => {
  const config = {
    max_position_embeddings: 32_768,
    vocab_size: 4_096,
    kv_lora_rank: 192,
    qk_rope_head_dim: 32,
  } as CardConfig;
  const training = { recipe: 'small', tokens: 2_164_875, steps: 962, seconds: 9_000 };
  const sample: Sample = { version: 1, files: {}, exact: 7, cited: 6, documents: [{ ...document, questions: [] }] };
  const render = (evaluation: string | null) =>
    renderCard({ config, training, card, sample, weightBytes: 2 ** 20, evaluation });

  it('says what the model was trained for and has a place for its evaluation', () => {
    expect(render(null)).toContain('| training | recipe `small`, 2.2M tokens in 962 steps, 2.5 hours of computing');
    expect(extractEvaluation(render(null))).toMatch(/^Not run yet/);
    expect(extractEvaluation(insertEvaluation(render(null), 'a table'))).toBe('a table');
    expect(extractEvaluation(render('a table'))).toBe('a table');
  });

  it('keeps an evaluation of the same weights only', async () => {
    expect(await readEvaluation(folder, 'abc')).toBeNull();
    writeFileSync(join(folder, 'README.md'), render('a table'));
    expect(await readEvaluation(folder, 'abc')).toBeNull();
    writeFileSync(join(folder, 'evaluation.json'), '{"model":{"id":"nano","digest":"abc"}}');
    expect(await readEvaluation(folder, 'abc')).toBe('a table');
    expect(await readEvaluation(folder, 'abd')).toBeNull();
  });

  it('refuses a sample of another version', async () => {
    writeFileSync(join(folder, 'sample.json'), '{"version":2}');
    await expect(readSample(folder)).rejects.toThrow('sample.json: version is 2, allowed: 1');
  });
});
