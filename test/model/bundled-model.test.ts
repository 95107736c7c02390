import { beforeAll, describe, expect, it } from 'vitest';
import { bundledModelDir, hashFiles, readSample, type Sample, type SampleQuestion } from '../../model/bundle/sample.ts';
import { replay } from '../../model/bundle/turns.ts';
import { Product } from '../../model/eval/product.ts';
import { score } from '../../model/eval/score.ts';
import { describeModel, type ModelCard } from '../../src/engine/index.ts';
import type { Tokenizer } from '../../src/engine/ports.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { verifyModel } from '../../src/engine/verify.ts';

/**
 * The bundled model's answers to a few questions, through prompts, engine, grammar, tools and citations, against those
 * recorded when it was taken in. Where a change here is meant, `npm run model:card` records anew.
 */
const again = 'if this is meant, run "npm run model:card" and look at what changes in sample.json';

let sample: Sample;
let tokenizer: Tokenizer;
let card: ModelCard;

beforeAll(async () => {
  sample = await readSample(bundledModelDir);
  tokenizer = await openTokenizer(bundledModelDir);
  card = await describeModel(bundledModelDir);
});

const listAll = () =>
  sample.documents.flatMap((document) => document.questions.map((question) => ({ document, question })));

const replayAll = (change: (question: SampleQuestion) => SampleQuestion = (question) => question) =>
  Promise.all(listAll().map(({ document, question }) => replay(tokenizer, card, document, change(question))));

const recordedPrompts = () => listAll().map(({ question }) => question.recorded.turns.map(({ prompt }) => prompt));

describe('the bundled model', () => {
  it('is trained, small, and the one whose answers were recorded', async () => {
    expect(card).toMatchObject({ id: 'quire-nano', weights: 'trained', contextTokens: 32_768 });
    expect(card.notice).toMatch(/small model/);
    expect(await hashFiles(bundledModelDir), again).toEqual(sample.files);
    const questions = listAll();
    expect(questions.length).toBeGreaterThanOrEqual(12);
    expect(questions.filter(({ question }) => question.tools).length).toBeGreaterThanOrEqual(4);
  });

  it('computes what the training code computes', async () => {
    const report = await verifyModel(bundledModelDir, { threads: 2 });
    expect(report.ok, report.line).toBe(true);
  });

  it('is asked with the same tokens under the same rules, in every turn', async () => {
    const replays = await replayAll();
    expect(
      replays.map(({ prompts }) => prompts),
      again,
    ).toEqual(recordedPrompts());
  });

  it('is understood as before: the recorded words give the recorded answers and citations', async () => {
    const replays = await replayAll();
    const { body } = replays[0]?.reply ?? { body: {} };
    expect(body).toMatchObject({ object: 'analysis', status: 'completed' });
    expect(replays.map(({ reply }) => [reply.body['answer'], reply.body['citations']])).toEqual(
      listAll().map(({ question }) => [question.recorded.answer, question.recorded.citations]),
    );
  });

  it('would not hide one other word in a question', async () => {
    const replays = await replayAll((question) => ({ ...question, question: `${question.question} Please.` }));
    for (const [index, { prompts }] of replays.entries()) expect(prompts[0]).not.toBe(recordedPrompts()[index]?.[0]);
  });

  it('answers as many questions exactly, and with a quote that shows it, as when it was recorded', async () => {
    const product = await Product.open(bundledModelDir, 'int4');
    const asked = await Promise.all(
      listAll().map(async ({ document, question }) => {
        const reply = await product.ask(document, question);
        return { question, reply, ...score(question, reply) };
      }),
    );
    await product.close();
    const wrong = asked
      .filter(({ isExact, question }) => question.recorded.isExact && !isExact)
      .map(
        ({ question, reply }) =>
          `${question.question} now ${JSON.stringify(reply.body['answer'])}, was ${question.answer}`,
      );
    const exact = asked.filter(({ isExact }) => isExact);
    expect(exact.length, `${wrong.join('; ')}; ${again}`).toBeGreaterThanOrEqual(sample.exact);
    expect(exact.filter(({ isCited }) => isCited).length, again).toBeGreaterThanOrEqual(sample.cited);
    expect(asked.every(({ reply }) => reply.isAnswered)).toBe(true);
  });
});
