import type { Clock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { BatchStore, Janitor, type JanitorDeps, openUnitLog } from '../../../src/batch/index.ts';
import type { BatchRecord, LineResult, OutputLine } from '../../../src/batch/records.schema.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { FakeBus, FakeQueue } from '../../support/fake-queue.ts';

export const tenant = 'default';

/** Time that moves when told, and by every sleep. */
export class ManualClock implements Clock {
  #nowMs = 1_800_000_000_000;

  nowMs(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#nowMs += ms;
  }
}

export const fileOf = async function* (text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
};

export const chatLine = (customId: string, body: Record<string, unknown> = {}): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'm', messages: [{ role: 'user', content: customId }], ...body },
  });

/** Chat lines whose long first message puts each group in a unit of its own. */
export const groupedLine = (customId: string, group: string): string =>
  chatLine(customId, {
    messages: [
      { role: 'user', content: group.repeat(2_000) },
      { role: 'user', content: customId },
    ],
  });

export function resultOf(index: number, customId: string, outcome: LineResult['outcome'] = 'completed'): LineResult {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 4,
    total_tokens: 14,
    prompt_tokens_details: { cached_tokens: 6 },
    completion_tokens_details: { reasoning_tokens: 3 },
  };
  const body = outcome === 'completed' ? { answer: customId, usage } : { error: { message: 'no', code: 'x' } };
  return {
    index,
    outcome,
    output: {
      id: `batch_req_${index}`,
      custom_id: customId,
      response: { status_code: outcome === 'completed' ? 200 : 400, request_id: `req_${index}`, body },
      error: null,
    },
  };
}

/** A domain on a memory store, with a queue and a bus that only record. */
export class World {
  readonly clock = new ManualClock();
  readonly store: MemoryObjectStore;
  readonly batches: BatchStore;
  readonly queue = new FakeQueue();
  readonly bus = new FakeBus();
  readonly limits = { maxLines: 1_000, maxLineBytes: 100_000 };
  readonly janitor: Janitor;

  constructor(store?: MemoryObjectStore) {
    this.store = store ?? new MemoryObjectStore(() => this.clock.nowMs());
    this.batches = new BatchStore({ store: this.store, clock: this.clock });
    this.janitor = this.newJanitor();
  }

  newJanitor(more: Partial<JanitorDeps> = {}): Janitor {
    const { store, batches, queue, bus, clock, limits } = this;
    return new Janitor({ store, batches, queue, bus, clock, limits, log: silentLogger, ...more });
  }

  async createBatch(
    lines: readonly string[],
    more: Partial<Parameters<BatchStore['createBatch']>[0]> = {},
  ): Promise<BatchRecord> {
    const file = await this.batches.saveFile(tenant, fileOf(lines.join('\n')), {
      filename: 'in.jsonl',
      purpose: 'batch',
    });
    return this.batches.createBatch({
      tenant,
      inputFileId: file.id,
      endpoint: '/v1/chat/completions',
      completionWindow: '24h',
      metadata: null,
      outputExpiresAfterSeconds: null,
      priority: 'batch',
      ...more,
    });
  }

  get(id: string): Promise<BatchRecord> {
    return this.batches.getBatch(tenant, id);
  }

  /** What a worker does with a unit, without an engine. */
  async runUnit(batchId: string, unitId: string, results: readonly LineResult[]): Promise<void> {
    const log = openUnitLog(this.store, tenant, batchId, unitId);
    await log.claim('worker');
    await log.append(results);
    await log.seal('done');
  }

  /** A worker that writes results and dies. */
  async runPart(batchId: string, unitId: string, results: readonly LineResult[]): Promise<void> {
    const log = openUnitLog(this.store, tenant, batchId, unitId);
    await log.claim('worker');
    await log.append(results);
  }

  async readText(key: string): Promise<string | undefined> {
    const object = await this.store.get(key);
    return object === undefined ? undefined : Buffer.from(object.body).toString('utf8');
  }

  async readResults(batchId: string): Promise<{ output: OutputLine[]; errors: OutputLine[] }> {
    const parse = (text = ''): OutputLine[] =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as OutputLine);
    return {
      output: parse(await this.readText(keys.output(tenant, batchId))),
      errors: parse(await this.readText(keys.errors(tenant, batchId))),
    };
  }
}
