import { AppError } from '../base/errors.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { parseStoredJson } from './decode-record.ts';
import { decodeLineIndex } from './line-index.ts';
import { mapConcurrent } from './map-concurrent.ts';
import type { Line } from './records.schema.ts';

/** So much costs less to read, wanted or not, than another request does. */
const cheapBytes = 64 * 1024;
const maxRangeBytes = 8 * 1024 * 1024;

interface Range {
  readonly start: number;
  end: number;
  readonly indexes: number[];
}

/** The last bytes that were read beyond what was asked for. */
interface Ahead {
  readonly start: number;
  readonly end: number;
  readonly body: Promise<Uint8Array>;
}

/**
 * Reads validated lines of one batch by index; lines and index never change once the plan stands. What follows short
 * lines is read with them: the next unit's are there already.
 */
export class LineReader {
  readonly #store: ObjectStore;
  readonly #tenant: string;
  readonly #batchId: string;
  #offsets: Promise<Float64Array> | null = null;
  #ahead: Ahead | null = null;

  constructor(store: ObjectStore, tenant: string, batchId: string) {
    this.#store = store;
    this.#tenant = tenant;
    this.#batchId = batchId;
  }

  /** The lines asked for, in the order asked for, in few ranged requests. @throws `corrupt.*`, `transient.*` */
  async read(indexes: readonly number[]): Promise<Line[]> {
    const offsets = await this.#loadOffsets();
    const ranges = planRanges(
      offsets,
      [...new Set(indexes)].sort((a, b) => a - b),
    );
    const found = new Map<number, Line>();
    await mapConcurrent(ranges, 4, async (range) => {
      for (const line of await this.#readRange(range, offsets)) found.set(line.index, line);
    });
    return indexes.map((index) => {
      const line = found.get(index);
      if (line === undefined) throw this.#corrupt(`line ${index} is not where the index says`);
      return line;
    });
  }

  #loadOffsets(): Promise<Float64Array> {
    this.#offsets ??= this.#fetchOffsets().catch((error: unknown) => {
      // a failed read must not be kept as the answer
      this.#offsets = null;
      throw error;
    });
    return this.#offsets;
  }

  async #fetchOffsets(): Promise<Float64Array> {
    const key = keys.linesIndex(this.#tenant, this.#batchId);
    const object = await this.#store.get(key);
    if (object === undefined) throw new AppError('corrupt.record', 'the line index is missing', { details: { key } });
    return decodeLineIndex(object.body, key);
  }

  async #readRange({ start, end, indexes }: Range, offsets: Float64Array): Promise<Line[]> {
    const body = await this.#readBytes(start, end, offsets.at(-1) ?? end);
    if (body.length !== end - start) throw this.#corrupt('lines are missing');
    return indexes.map((index) => {
      const bytes = body.subarray((offsets[index] ?? 0) - start, (offsets[index + 1] ?? 0) - start);
      // written by our own validator, after validation
      return parseStoredJson(bytes, keys.lines(this.#tenant, this.#batchId)) as Line;
    });
  }

  /** Fewer than asked for where the object ends early. */
  async #readBytes(start: number, end: number, fileEnd: number): Promise<Uint8Array> {
    const known = this.#ahead;
    if (known !== null && known.start <= start && end <= known.end) {
      return (await known.body).subarray(start - known.start, end - known.start);
    }
    const aheadEnd = Math.max(end, Math.min(start + cheapBytes, fileEnd));
    const body = this.#fetchBytes(start, aheadEnd);
    if (aheadEnd > end) {
      const ahead = { start, end: aheadEnd, body };
      this.#ahead = ahead;
      body.catch(() => {
        // a failed read must not be kept as the answer
        if (this.#ahead === ahead) this.#ahead = null;
      });
    }
    return (await body).subarray(0, end - start);
  }

  async #fetchBytes(start: number, end: number): Promise<Uint8Array> {
    const key = keys.lines(this.#tenant, this.#batchId);
    const object = await this.#store.get(key, { range: { start, end } });
    if (object === undefined) throw this.#corrupt('lines are missing');
    return object.body;
  }

  #corrupt(message: string): AppError {
    return new AppError('corrupt.record', message, { details: { key: keys.lines(this.#tenant, this.#batchId) } });
  }
}

/** Neighbouring lines → ranges. @throws `corrupt.record` for an index outside the file */
function planRanges(offsets: Float64Array, sorted: readonly number[]): Range[] {
  const ranges: Range[] = [];
  for (const index of sorted) {
    const start = offsets[index];
    const end = offsets[index + 1];
    if (start === undefined || end === undefined) {
      throw new AppError('corrupt.record', `the plan names line ${index}; the batch has ${offsets.length - 1}`);
    }
    const last = ranges.at(-1);
    if (last !== undefined && start - last.end <= cheapBytes && end - last.start <= maxRangeBytes) {
      last.end = end;
      last.indexes.push(index);
    } else {
      ranges.push({ start, end, indexes: [index] });
    }
  }
  return ranges;
}

const keptReaders = 16;
const readers = new WeakMap<ObjectStore, Map<string, LineReader>>();

/** As `LineReader.read`, keeping the line indexes of the last few batches. @throws `corrupt.*`, `transient.*` */
export function readLines(
  store: ObjectStore,
  tenant: string,
  batchId: string,
  indexes: readonly number[],
): Promise<Line[]> {
  const known = readers.get(store) ?? new Map<string, LineReader>();
  readers.set(store, known);
  const name = keys.linesIndex(tenant, batchId);
  const reader = known.get(name) ?? new LineReader(store, tenant, batchId);
  known.delete(name);
  known.set(name, reader);
  const [oldest] = known.keys();
  if (known.size > keptReaders && oldest !== undefined) known.delete(oldest);
  return reader.read(indexes);
}
