import type { Answered } from '../../model/eval/evaluate.ts';
import type { EvaluationQuestion, EvaluationSet } from '../../model/eval/evaluation-set.ts';
import { score } from '../../model/eval/score.ts';

/** A look-up with three facts that could be taken for the answer. */
export const lookUp: EvaluationQuestion = {
  question: 'What is the fee of Arden?',
  kind: 'look-up',
  answer: 'EUR 1,200',
  found: true,
  evidence: ['EUR 1,200'],
  rivals: { type: 3, attribute: 3, entity: 1 },
  guess: 0.25,
  needsBoth: true,
  tools: false,
};

/** What the product says when it is right, with `fields` in place of its own. */
export const reply = (fields: Readonly<Record<string, unknown>> = {}, isAnswered = true) => ({
  isAnswered,
  body: {
    parsed: true,
    answer: 'EUR 1,200',
    found: true,
    citations: [{ quote: 'fee of Arden is EUR 1,200', verified: true }],
    usage: { prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 64 } },
    ext: {},
    ...fields,
  },
});

export function answered(question: EvaluationQuestion, fields: Readonly<Record<string, unknown>> = {}): Answered {
  const given = reply(fields);
  return { question, reply: given, score: score(question, given) };
}

/** Documents with so many questions each, all different. */
export function setOf(name: string, goal: string, perDocument: readonly number[]): EvaluationSet {
  const documents = perDocument.map((total, index) => ({
    name: `${name}-${index}.md`,
    text: 'text',
    questions: Array.from({ length: total }, (_, number) => ({ ...lookUp, question: `${name} ${index}.${number}?` })),
  }));
  return { name, goal, documents };
}
