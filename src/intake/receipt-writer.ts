import type { BatchRecord, BatchStore } from '../batch/index.ts';
import type { AdmittedInput } from './admit-drop.ts';
import type { DropRecord } from './drop.schema.ts';
import { buildReceipt } from './drop-receipt.ts';
import type { FencedOutputs } from './fenced-outputs.ts';
import { splitAtLineEnds } from './split-at-line-ends.ts';

/** Writes one drop's receipt when it says something new. */
export class ReceiptWriter {
  readonly #batches: BatchStore;
  readonly #outputs: FencedOutputs;
  readonly #key: string;
  #input: AdmittedInput | null = null;
  #written: DropRecord | null = null;

  constructor({ batches }: { readonly batches: BatchStore }, outputs: FencedOutputs, key: string) {
    this.#batches = batches;
    this.#outputs = outputs;
    this.#key = key;
  }

  /** Spares reading the input again. */
  learn(input: AdmittedInput): void {
    this.#input = input;
  }

  /** @throws `ownership.lost`, `transient.*` */
  async write(record: DropRecord, batch: BatchRecord | null): Promise<void> {
    if (this.#written?.state === record.state && this.#written.at_ms === record.at_ms) return;
    const customIds = batch === null ? [] : await this.#loadCustomIds(batch);
    const body = Buffer.from(JSON.stringify(buildReceipt(record, batch?.id ?? null, customIds)));
    const there = await this.#outputs.read(this.#key);
    if (there === undefined || !body.equals(there.body)) {
      await this.#outputs.write(this.#key, body, 'application/json');
    }
    this.#written = record;
  }

  async #loadCustomIds({ tenant, input_file_id: fileId }: BatchRecord): Promise<readonly string[]> {
    if (this.#input?.fileId === fileId) return this.#input.customIds;
    // somebody may have deleted it since
    if ((await this.#batches.findFile(tenant, fileId)) === undefined) return [];
    const { stream } = await this.#batches.openFileContent(tenant, fileId);
    const customIds: string[] = [];
    for await (const line of splitAtLineEnds(stream)) {
      customIds.push((JSON.parse(line.toString('utf8')) as { readonly custom_id: string }).custom_id);
    }
    return customIds;
  }
}
