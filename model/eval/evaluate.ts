import type { EvaluationSet } from './evaluation-set.ts';
import type { Product } from './product.ts';
import { type Score, score } from './score.ts';

export interface SetScores {
  readonly name: string;
  readonly scores: readonly Score[];
}

/** Asks the first `most` questions of a set; those of one document together, so that they share its reading. */
export async function evaluateSet(
  product: Product,
  set: EvaluationSet,
  most = Number.POSITIVE_INFINITY,
  onReply: (question: string, body: Readonly<Record<string, unknown>>, score: Score) => void = () => {},
): Promise<SetScores> {
  const scores: Score[] = [];
  for (const document of set.documents) {
    const questions = document.questions.slice(0, most - scores.length);
    const replies = await Promise.all(questions.map((question) => product.ask(document, question)));
    for (const [index, question] of questions.entries()) {
      const reply = replies[index];
      if (reply === undefined) continue;
      const one = score(question, reply);
      scores.push(one);
      onReply(question.question, reply.body, one);
    }
  }
  return { name: set.name, scores };
}
