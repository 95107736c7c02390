import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import type { EvaluationDocument, EvaluationQuestion } from '../eval/evaluation-set.ts';
import { Product, type Reply } from '../eval/product.ts';
import { score } from '../eval/score.ts';
import { hashFiles, type Sample, type SampleDocument, type SampleQuestion } from './sample.ts';
import { TurnRecorder } from './turns.ts';

interface Asked {
  readonly question: EvaluationQuestion;
  readonly reply: Reply;
}

export interface Recording {
  readonly sample: Sample;
  /** Of the loaded model, as an evaluation of it names it. */
  readonly digest: string;
}

/** Asks the model in both precisions; kept are the replies of the one that is the default. */
export async function recordSample(modelDir: string, documents: readonly EvaluationDocument[]): Promise<Recording> {
  const recorder = new TurnRecorder(await openTokenizer(modelDir));
  const full = await askAll(await Product.open(modelDir, 'full'), documents, ({ reply }) => reply);
  const product = await Product.open(modelDir, 'int4', { watch: recorder.watch });
  const kept = await askAll(product, documents, ({ question, reply }): SampleQuestion => {
    const { answer, citations } = reply.body;
    const { isExact, isCited } = score(question, reply);
    return {
      ...question,
      recorded: { isExact, isCited: isExact && isCited === true, answer, citations, turns: recorder.take() },
    };
  });
  const pairs = kept.flat().map((question, index) => ({ question, other: full.flat()[index] as Reply }));
  const both = pairs.filter(({ question, other }) => question.recorded.isExact && score(question, other).isExact);
  const sample: Sample = {
    version: 1,
    files: await hashFiles(modelDir),
    exact: both.length,
    cited: both.filter(({ question, other }) => question.recorded.isCited && score(question, other).isCited).length,
    documents: documents.map((document, index): SampleDocument => ({ ...document, questions: kept[index] ?? [] })),
  };
  return { sample, digest: product.card.digest };
}

/** One question after the other, by document; closes the product. */
async function askAll<Kept>(
  product: Product,
  documents: readonly EvaluationDocument[],
  keep: (asked: Asked) => Kept,
): Promise<readonly (readonly Kept[])[]> {
  const all: Kept[][] = [];
  try {
    for (const document of documents) {
      const kept: Kept[] = [];
      for (const question of document.questions) {
        kept.push(keep({ question, reply: await product.ask(document, question) }));
      }
      all.push(kept);
    }
  } finally {
    await product.close();
  }
  return all;
}
