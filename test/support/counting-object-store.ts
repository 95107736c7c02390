import { pipeline, Transform } from 'node:stream';
import { AppError } from '../../src/base/errors.ts';
import type {
  CreateOutcome,
  GetOptions,
  Listing,
  ListOptions,
  ObjectHead,
  ObjectStore,
  PutOptions,
  PutStreamOptions,
  StoredObject,
  StreamedObject,
  StreamedPut,
  SwapOutcome,
} from '../../src/storage/index.ts';

export type StoreOperation = keyof ObjectStore;

export interface StoreCall {
  readonly operation: StoreOperation;
  /** Key, prefix, or the keys of a delete joined by commas. */
  readonly key: string;
  /** Counts from 1 over all calls. */
  readonly count: number;
}

/**
 * What becomes of a call: nothing special; it fails before it reaches the store; or it is carried out and its caller
 * hears of a failure all the same.
 */
export type CallFault = 'none' | 'before' | 'after';

export interface CallCounts {
  readonly calls: number;
  /** Of all bodies sent to the store. */
  readonly putBytes: number;
  /** Of all bodies received from the store. */
  readonly gotBytes: number;
  readonly byOperation: Readonly<Partial<Record<StoreOperation, number>>>;
}

/** Counts requests and bytes, and fails by plan: `plan` is asked before every call. */
export class CountingObjectStore implements ObjectStore {
  /** May be replaced at any time. */
  plan: (call: StoreCall) => CallFault;
  private readonly inner: ObjectStore;
  private readonly made: StoreCall[] = [];
  private putBytes = 0;
  private gotBytes = 0;
  private firstCall = 0;

  constructor(inner: ObjectStore, plan: (call: StoreCall) => CallFault = () => 'none') {
    this.inner = inner;
    this.plan = plan;
  }

  /** Since the last `reset`. */
  get calls(): readonly StoreCall[] {
    return this.made.slice(this.firstCall);
  }

  get counts(): CallCounts {
    const byOperation: Partial<Record<StoreOperation, number>> = {};
    for (const { operation } of this.calls) byOperation[operation] = (byOperation[operation] ?? 0) + 1;
    return { calls: this.calls.length, putBytes: this.putBytes, gotBytes: this.gotBytes, byOperation };
  }

  reset(): void {
    this.firstCall = this.made.length;
    this.putBytes = 0;
    this.gotBytes = 0;
  }

  get(key: string, options?: GetOptions): Promise<StoredObject | undefined> {
    return this.call('get', key, async () => {
      const found = await this.inner.get(key, options);
      this.gotBytes += found?.body.byteLength ?? 0;
      return found;
    });
  }

  getStream(key: string, options?: GetOptions): Promise<StreamedObject | undefined> {
    return this.call('getStream', key, async () => {
      const found = await this.inner.getStream(key, options);
      if (found === undefined) return undefined;
      const count = (chunk: Uint8Array): void => {
        this.gotBytes += chunk.byteLength;
      };
      const counted = new Transform({
        transform: (chunk: Uint8Array, _encoding, done) => {
          count(chunk);
          done(null, chunk);
        },
      });
      // errors and early ends travel both ways; whoever reads `counted` sees them
      pipeline(found.stream, counted, () => undefined);
      return { ...found, stream: counted };
    });
  }

  head(key: string): Promise<ObjectHead | undefined> {
    return this.call('head', key, () => this.inner.head(key));
  }

  put(key: string, body: Uint8Array, options?: PutOptions): Promise<{ readonly etag: string }> {
    return this.call('put', key, () => this.inner.put(key, this.sent(body), options));
  }

  putStream(key: string, body: AsyncIterable<Uint8Array>, options?: PutStreamOptions): Promise<StreamedPut> {
    const counted = async function* (count: (chunk: Uint8Array) => Uint8Array): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) yield count(chunk);
    };
    return this.call('putStream', key, () =>
      this.inner.putStream(
        key,
        counted((chunk) => this.sent(chunk)),
        options,
      ),
    );
  }

  create(key: string, body: Uint8Array, options?: PutOptions): Promise<CreateOutcome> {
    return this.call('create', key, () => this.inner.create(key, this.sent(body), options));
  }

  swap(key: string, body: Uint8Array, etag: string, options?: PutOptions): Promise<SwapOutcome> {
    return this.call('swap', key, () => this.inner.swap(key, this.sent(body), etag, options));
  }

  list(prefix: string, options?: ListOptions): Promise<Listing> {
    return this.call('list', prefix, () => this.inner.list(prefix, options));
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.call('delete', keys.join(','), () => this.inner.delete(keys));
  }

  check(): Promise<void> {
    return this.call('check', '', () => this.inner.check());
  }

  private sent(body: Uint8Array): Uint8Array {
    this.putBytes += body.byteLength;
    return body;
  }

  private async call<Result>(operation: StoreOperation, key: string, run: () => Promise<Result>): Promise<Result> {
    const call = { operation, key, count: this.made.length + 1 };
    this.made.push(call);
    const fault = this.plan(call);
    if (fault === 'before') throw plannedFailure(call);
    const result = await run();
    if (fault === 'after') throw plannedFailure(call);
    return result;
  }
}

function plannedFailure({ operation, key }: StoreCall): AppError {
  return new AppError('transient.store-error', `planned failure of ${operation}`, { details: { key } });
}
