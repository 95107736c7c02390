import { createReadStream } from 'node:fs';
import OpenAI, { toFile } from 'openai';
import type { StatusLine } from '../output.ts';
import { buildBatchFile, type DemoDocument, demoDocumentPath } from './demo-input.ts';

export interface DemoBatch {
  readonly id: string;
  readonly status: string;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  /** Lines of the output and the error file, as text. */
  readonly outputLines: readonly string[];
  readonly errorLines: readonly string[];
}

const pollMs = 300;

/** What a user does with the stock client: upload documents, submit one batch, poll it, download the results. */
export async function runDemoBatch(
  apiUrl: string,
  model: string,
  documents: readonly DemoDocument[],
  status: StatusLine,
): Promise<DemoBatch> {
  const client = new OpenAI({ baseURL: `${apiUrl}/v1`, apiKey: 'demo' });
  const uploaded = [];
  for (const document of documents) {
    const file = createReadStream(demoDocumentPath(document));
    const { id } = await client.files.create({ file, purpose: 'user_data' });
    uploaded.push({ document, fileId: id });
  }
  const text = buildBatchFile(model, uploaded);
  const input = await client.files.create({
    file: await toFile(Buffer.from(text), 'questions.jsonl'),
    purpose: 'batch',
  });
  // the client's type lists OpenAI's own endpoints; the wire takes ours
  const endpoint = '/v1/analyses' as '/v1/chat/completions';
  let batch = await client.batches.create({ input_file_id: input.id, endpoint, completion_window: '24h' });
  while (['validating', 'in_progress', 'finalizing'].includes(batch.status)) {
    status.show(...describe(batch));
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    batch = await client.batches.retrieve(batch.id);
  }
  status.show(...describe(batch));
  status.end();
  const download = async (fileId: string | null | undefined): Promise<string[]> => {
    if (!fileId) return [];
    const content = await (await client.files.content(fileId)).text();
    return content.split('\n').filter((line) => line !== '');
  };
  return {
    id: batch.id,
    status: batch.status,
    total: batch.request_counts?.total ?? 0,
    completed: batch.request_counts?.completed ?? 0,
    failed: batch.request_counts?.failed ?? 0,
    outputLines: await download(batch.output_file_id),
    errorLines: await download(batch.error_file_id),
  };
}

function describe(batch: OpenAI.Batch): [headline: string, detail: string] {
  const { total = 0, completed = 0, failed = 0 } = batch.request_counts ?? {};
  const done = `${batch.status}: ${completed + failed} of ${total} lines`;
  const current = (batch as { ext?: { current?: Current[] } }).ext?.current?.[0];
  if (current === undefined || batch.status !== 'in_progress') return [done, ''];
  const read = current.prompt_tokens > 0 ? `, ${current.prefilled_tokens} of ${current.prompt_tokens} tokens read` : '';
  return [done, ` · ${current.custom_id}: ${current.step}${read}, ${current.completion_tokens} written`];
}

interface Current {
  readonly custom_id: string;
  readonly step: string;
  readonly prompt_tokens: number;
  readonly prefilled_tokens: number;
  readonly completion_tokens: number;
}
