import { sha256Hex } from '../../base/hash.ts';
import { defaultTenant } from '../../base/ids.ts';
import { keys, type ObjectStore } from '../../storage/index.ts';
import { renderTable } from '../output.ts';
import type { DemoBatch } from './run-batch.ts';

interface ResultBody {
  readonly answer: unknown;
  readonly parsed: boolean;
  readonly citations: readonly { page: number; verified: boolean }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly timing: { readonly prefill_ms: number; readonly decode_ms: number };
  readonly ext: { readonly notice?: string };
}

export interface DemoResult {
  readonly custom_id: string;
  /** Object that holds the line, and the sha256 of that whole object. */
  readonly key: string;
  readonly sha256: string;
  readonly parsed: boolean;
}

export interface DemoSummary {
  readonly ok: boolean;
  readonly documents: number;
  readonly lines: number;
  readonly completed: number;
  readonly failed: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly wall_s: number;
  /** Of the whole time: lines run side by side, so their own times cannot be added up. */
  readonly prefill_tok_s: number;
  readonly decode_tok_s: number;
  readonly data_dir: string;
  readonly results: readonly DemoResult[];
}

interface ParsedLine {
  readonly customId: string;
  readonly body: ResultBody;
}

const parseLine = (text: string): ParsedLine => {
  const line = JSON.parse(text) as { custom_id: string; response: { body: ResultBody } };
  return { customId: line.custom_id, body: line.response.body };
};

/** Reads the results back from the bucket by key, so that the summary says what is stored and not what was sent. */
export async function summarizeDemo(
  store: ObjectStore,
  batch: DemoBatch,
  facts: { readonly documents: number; readonly lines: number; readonly wallMs: number; readonly dataDir: string },
): Promise<DemoSummary> {
  const key = keys.output(defaultTenant, batch.id);
  const stored = await store.get(key);
  const storedText = stored === undefined ? '' : Buffer.from(stored.body).toString('utf8');
  const sameAsDownloaded = storedText === batch.outputLines.map((line) => `${line}\n`).join('');
  const bodies = batch.outputLines.map(parseLine);
  const sum = (pick: (body: ResultBody) => number): number => bodies.reduce((total, { body }) => total + pick(body), 0);
  const promptTokens = sum(({ usage }) => usage.prompt_tokens);
  const cachedTokens = sum(({ usage }) => usage.prompt_tokens_details.cached_tokens);
  const completionTokens = sum(({ usage }) => usage.completion_tokens);
  const sha256 = stored === undefined ? '' : sha256Hex(stored.body);
  return {
    ok: batch.status === 'completed' && batch.completed === facts.lines && batch.failed === 0 && sameAsDownloaded,
    documents: facts.documents,
    lines: facts.lines,
    completed: batch.completed,
    failed: batch.failed,
    prompt_tokens: promptTokens,
    cached_tokens: cachedTokens,
    completion_tokens: completionTokens,
    wall_s: round(facts.wallMs / 1000),
    prefill_tok_s: perSecond(promptTokens - cachedTokens, facts.wallMs),
    decode_tok_s: perSecond(completionTokens, facts.wallMs),
    data_dir: facts.dataDir,
    results: bodies.map(({ customId, body }) => ({ custom_id: customId, key, sha256, parsed: body.parsed })),
  };
}

/** The table of results as a person reads it. */
export function renderResults(batch: DemoBatch): string {
  const rows = batch.outputLines
    .map(parseLine)
    .map(({ customId, body }) => [
      customId,
      body.parsed ? JSON.stringify(body.answer) : '(unfinished JSON)',
      body.citations.map(({ page, verified }) => `p.${page}${verified ? '✓' : '?'}`).join(' ') || '–',
      String(body.usage.prompt_tokens),
      String(body.usage.prompt_tokens_details.cached_tokens),
      String(body.usage.completion_tokens),
      String(perSecond(body.usage.completion_tokens, body.timing.decode_ms)),
    ]);
  return renderTable(['line', 'answer', 'cites', 'prompt', 'cached', 'written', 'tok/s'], rows);
}

export function noticeOf(batch: DemoBatch): string | null {
  const first = batch.outputLines[0];
  return first === undefined ? null : (parseLine(first).body.ext.notice ?? null);
}

const round = (value: number): number => Math.round(value * 10) / 10;

const perSecond = (tokens: number, ms: number): number => (ms === 0 ? 0 : round((tokens * 1000) / ms));
