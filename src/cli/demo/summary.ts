import { sha256Hex } from '../../base/hash.ts';
import { defaultTenant } from '../../base/ids.ts';
import { keys, type ObjectStore } from '../../storage/index.ts';
import type { DemoDocument } from './demo-input.ts';
import { type Citation, type Judged, judge, type ResultBody } from './judge.ts';
import type { DemoBatch } from './run-batch.ts';

export interface DemoResult {
  readonly custom_id: string;
  /** Object that holds the line, and the sha256 of that whole object. */
  readonly key: string;
  readonly sha256: string;
  readonly parsed: boolean;
  readonly document: string;
  readonly question: string;
  readonly answer: unknown;
  readonly expected: unknown;
  readonly right: boolean;
  /** Right, and shown by a quote that stands on its page. */
  readonly shown: boolean;
  readonly citations: readonly Citation[];
}

export interface DemoSummary {
  /** Every line was answered and is stored as it was sent; whether the answers are right is `right`. */
  readonly ok: boolean;
  readonly documents: number;
  readonly lines: number;
  readonly completed: number;
  readonly failed: number;
  readonly right: number;
  readonly shown: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly wall_s: number;
  /** Of the whole time: lines run side by side, so their own times cannot be added up. */
  readonly prefill_tok_s: number;
  readonly decode_tok_s: number;
  readonly data_dir: string;
  readonly notice: string | null;
  readonly results: readonly DemoResult[];
}

/** The finished lines, each beside what its document says. */
export function judgeBatch(batch: DemoBatch, documents: readonly DemoDocument[]): readonly Judged[] {
  return batch.outputLines.map((text) => {
    const line = JSON.parse(text) as { custom_id: string; response: { body: ResultBody } };
    return judge(documents, line.custom_id, line.response.body);
  });
}

/** Reads the results back from the bucket by key, so that the summary says what is stored and not what was sent. */
export async function summarizeDemo(
  store: ObjectStore,
  batch: DemoBatch,
  documents: readonly DemoDocument[],
  facts: { readonly wallMs: number; readonly dataDir: string },
): Promise<DemoSummary> {
  const lines = documents.reduce((total, { questions }) => total + questions.length, 0);
  const key = keys.output(defaultTenant, batch.id);
  const stored = await store.get(key);
  const storedText = stored === undefined ? '' : Buffer.from(stored.body).toString('utf8');
  const sameAsDownloaded = storedText === batch.outputLines.map((line) => `${line}\n`).join('');
  const judged = judgeBatch(batch, documents);
  const sum = (pick: (body: ResultBody) => number): number => judged.reduce((total, { body }) => total + pick(body), 0);
  const promptTokens = sum(({ usage }) => usage.prompt_tokens);
  const cachedTokens = sum(({ usage }) => usage.prompt_tokens_details.cached_tokens);
  const completionTokens = sum(({ usage }) => usage.completion_tokens);
  const sha256 = stored === undefined ? '' : sha256Hex(stored.body);
  return {
    ok: batch.status === 'completed' && batch.completed === lines && batch.failed === 0 && sameAsDownloaded,
    documents: documents.length,
    lines,
    completed: batch.completed,
    failed: batch.failed,
    right: judged.filter(({ isRight }) => isRight).length,
    shown: judged.filter(({ isShown }) => isShown).length,
    prompt_tokens: promptTokens,
    cached_tokens: cachedTokens,
    completion_tokens: completionTokens,
    wall_s: round(facts.wallMs / 1000),
    prefill_tok_s: perSecond(promptTokens - cachedTokens, facts.wallMs),
    decode_tok_s: perSecond(completionTokens, facts.wallMs),
    data_dir: facts.dataDir,
    notice: judged[0]?.body.ext.notice ?? null,
    results: judged.map((one) => presentResult(one, key, sha256)),
  };
}

function presentResult(
  { customId, document, question, body, isRight, isShown }: Judged,
  key: string,
  sha256: string,
): DemoResult {
  return {
    custom_id: customId,
    key,
    sha256,
    parsed: body.parsed,
    document: document.file,
    question: question.question,
    answer: body.answer,
    expected: question.answer,
    right: isRight,
    shown: isShown,
    citations: body.citations.map(({ page, quote, verified, context }) => ({ page, quote, verified, context })),
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;

const perSecond = (tokens: number, ms: number): number => (ms === 0 ? 0 : round((tokens * 1000) / ms));
