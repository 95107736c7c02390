import type { EvaluationDocument, EvaluationQuestion, EvaluationSet } from './evaluation-set.ts';
import type { Reply } from './product.ts';
import { type Score, score } from './score.ts';

export interface SetScores {
  readonly name: string;
  readonly goal: string;
  readonly answers: readonly Answered[];
}

/** A question and how it was answered. */
export interface Answered {
  readonly question: EvaluationQuestion;
  readonly reply: Reply;
  readonly score: Score;
}

export type Ask = (document: EvaluationDocument, question: EvaluationQuestion) => Promise<Reply>;

/** Questions at a time: with fewer a run's steps are half empty, with more they only wait. */
const asked = 12;

/**
 * Asks all questions of a set; those of one document together, so that they share its reading. Answers come in the
 * set's order, whatever ends first.
 */
export async function evaluateSet(
  ask: Ask,
  set: EvaluationSet,
  onAnswer: (answered: Answered) => void = () => {},
): Promise<SetScores> {
  const answers: (readonly Answered[])[] = [];
  const waiting = set.documents.entries();
  const askDocuments = async (): Promise<void> => {
    for (const [index, document] of waiting) {
      answers[index] = await Promise.all(
        document.questions.map(async (question) => {
          const reply = await ask(document, question);
          const answered = { question, reply, score: score(question, reply) };
          onAnswer(answered);
          return answered;
        }),
      );
    }
  };
  await Promise.all(Array.from({ length: documentsAtOnce(set) }, askDocuments));
  return { name: set.name, goal: set.goal, answers: answers.flat() };
}

function documentsAtOnce({ documents }: EvaluationSet): number {
  const longest = Math.max(1, ...documents.map(({ questions }) => questions.length));
  return Math.max(1, Math.floor(asked / longest));
}
