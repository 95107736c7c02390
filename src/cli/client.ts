import { createReadStream } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';
import type { BatchObject } from '../api/schemas/batch.schema.ts';
import { toApiError, unreachableError } from './api-error.ts';
import { splitLines } from './split-lines.ts';

export interface BatchOrder {
  readonly inputFileId: string;
  readonly endpoint: string;
  readonly window: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** Tokens after which it pauses; left out: never. */
  readonly tokenBudget?: number;
}

/** The API as commands use it. Every method throws the server's own error, or `transient.timeout` when nobody answers. */
export interface QuireApi {
  /** Without `/v1`. */
  readonly url: string;
  /** Names of what is served. */
  listModels(): Promise<readonly string[]>;
  uploadDocument(path: string): Promise<string>;
  uploadInput(path: string): Promise<string>;
  uploadLines(lines: readonly string[]): Promise<string>;
  createBatch(order: BatchOrder): Promise<BatchObject>;
  getBatch(id: string): Promise<BatchObject>;
  /** Newest first. */
  listBatches(limit: number): Promise<readonly BatchObject[]>;
  cancelBatch(id: string): Promise<BatchObject>;
  /** null: no limit. */
  setTokenBudget(id: string, tokens: number | null): Promise<BatchObject>;
  /** The lines of a result file, without their ends. */
  readLines(fileId: string): AsyncGenerator<string>;
}

export interface ApiAccess {
  readonly url: string;
  /** null: none is needed on loopback. */
  readonly key: string | null;
}

const connectTimeoutMs = 5_000;
/** A restarting server is back within these. */
const maxRetries = 4;
const pageLimit = 100;

/** Makes sure first that somebody answers: the client's own retries would keep a user waiting for the sentence. */
export async function openApi({ url, key }: ApiAccess): Promise<QuireApi> {
  await checkReachable(url);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key ?? 'none', maxRetries });
  const call = async <Result>(run: () => Promise<Result>): Promise<Result> => {
    try {
      return await run();
    } catch (error) {
      throw toApiError(error, url);
    }
  };
  const upload = async (purpose: 'batch' | 'user_data', file: Parameters<typeof client.files.create>[0]['file']) =>
    (await call(() => client.files.create({ file, purpose }))).id;
  return {
    url,
    listModels: async () => {
      const { data } = await call(() => client.models.list());
      return data.map(({ id }) => id);
    },
    uploadDocument: (path) => upload('user_data', createReadStream(path)),
    uploadInput: (path) => upload('batch', createReadStream(path)),
    uploadLines: async (lines) => {
      const text = lines.map((line) => `${line}\n`).join('');
      return upload('batch', await toFile(Buffer.from(text), 'questions.jsonl'));
    },
    createBatch: ({ inputFileId, endpoint, window, metadata, tokenBudget }) =>
      call(async () =>
        toBatchObject(
          await client.batches.create({
            input_file_id: inputFileId,
            // the client's types list OpenAI's own values; the wire takes ours
            endpoint: endpoint as '/v1/chat/completions',
            completion_window: window as '24h',
            ...(metadata === null ? {} : { metadata: { ...metadata } }),
            ...(tokenBudget === undefined ? {} : { token_budget: tokenBudget }),
          }),
        ),
      ),
    getBatch: (id) => call(async () => toBatchObject(await client.batches.retrieve(id))),
    listBatches: (limit) =>
      call(async () => {
        const found: BatchObject[] = [];
        for await (const batch of client.batches.list({ limit: Math.min(limit, pageLimit) })) {
          found.push(toBatchObject(batch));
          if (found.length === limit) break;
        }
        return found;
      }),
    cancelBatch: (id) => call(async () => toBatchObject(await client.batches.cancel(id))),
    setTokenBudget: (id, tokens) =>
      call(() => client.post<BatchObject>(`/batches/${id}/budget`, { body: { token_budget: tokens } })),
    readLines: async function* (fileId) {
      const { body } = await call(() => client.files.content(fileId));
      if (body !== null) yield* splitLines(body as AsyncIterable<Uint8Array>);
    },
  };
}

const toBatchObject = (batch: OpenAI.Batch): BatchObject => batch as unknown as BatchObject;

/** Any answer will do: what stands before a server may keep the probes to itself. */
async function checkReachable(url: string): Promise<void> {
  const late = new AbortController();
  try {
    const probe = fetch(`${url}/healthz`, { signal: late.signal });
    const timeout = wait(connectTimeoutMs, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no answer within ${connectTimeoutMs} ms`);
    });
    await (await Promise.race([probe, timeout])).body?.cancel();
  } catch (error) {
    throw unreachableError(url, error);
  } finally {
    late.abort();
  }
}
