import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { AppError } from '../../base/errors.ts';
import type { Provider } from '../model/operators/provider-operators.ts';

export interface OrtSessionOptions {
  readonly threads: number;
  /** @defaultValue `cpu` */
  readonly provider?: Provider;
  /** Output that stays on the device, for another session to read: reading its data from here aborts the process. */
  readonly deviceOutput?: string | null;
  /** Also writes the model as it will run, optimized and with packed weights, to this path and one beside it. */
  readonly preparedPath?: string;
  /** The file is one that was prepared on a machine like this: nothing is left to optimize. */
  readonly isPrepared?: boolean;
}

export type OrtFeeds = Readonly<Record<string, Tensor>>;

/**
 * An ONNX Runtime session. `run` blocks the event loop of its process while it computes.
 * Errors of the runtime become AppErrors here and nowhere else.
 */
export class OrtSession {
  readonly #session: InferenceSession;
  #isClosed = false;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** Throws `capacity.model-too-large` when memory runs out, otherwise `bug.invariant`. */
  async run(feeds: OrtFeeds): Promise<Readonly<Record<string, Tensor>>> {
    if (this.#isClosed) throw new AppError('bug.invariant', 'a closed session was run');
    try {
      return await this.#session.run(feeds);
    } catch (error) {
      throw runtimeError('onnxruntime failed in a run', error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#session.release();
  }
}

/**
 * Threads that wait for the next product spin for so long before they sleep: to wake one up takes as long as a product
 * of one row. Longer where other programs want the core, and the run waits for its own spinning thread.
 */
const spinMicroseconds = 40;

/** The file beside a model's that holds its large constants. */
export const weightsFileOf = (modelPath: string): string => modelPath.replace(/\.onnx$/, '.weights');

/**
 * Loads a model: a file, or the bytes of a small one.
 * Throws `capacity.model-too-large` when memory runs out, otherwise `bug.invariant`: the graph is our own.
 */
export async function openOrtSession(model: string | Uint8Array, options: OrtSessionOptions): Promise<OrtSession> {
  // with cores to spare they spin as long as the runtime likes
  const spinning =
    options.threads >= availableParallelism()
      ? { allow_spinning: '1', spin_duration_us: String(spinMicroseconds) }
      : { allow_spinning: '1' };
  const { preparedPath, isPrepared = false, provider = 'cpu', deviceOutput = null } = options;
  const saving =
    preparedPath === undefined
      ? {}
      : {
          save_external_prepacked_constant_initializers: '1',
          optimized_model_external_initializers_file_name: basename(weightsFileOf(preparedPath)),
          optimized_model_external_initializers_min_size_in_bytes: '64',
        };
  try {
    const sessionOptions: InferenceSession.SessionOptions = {
      executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      ...(deviceOutput === null ? {} : { preferredOutputLocation: { [deviceOutput]: 'gpu-buffer' as const } }),
      graphOptimizationLevel: isPrepared ? 'disabled' : 'all',
      ...(preparedPath === undefined ? {} : { optimizedModelFilePath: preparedPath }),
      // Patterns are kept per input shape, and every prefix length is a shape.
      enableMemPattern: false,
      // TensorScatter warns on every run that it copies its input, which is what we want.
      logSeverityLevel: 3,
      // behind a run nobody spins: each session has threads of its own, and the next graph needs the cores
      extra: { session: { intra_op: spinning, force_spinning_stop: '1', ...saving } },
    };
    const opening =
      typeof model === 'string'
        ? InferenceSession.create(model, sessionOptions)
        : InferenceSession.create(model, sessionOptions);
    return new OrtSession(await opening);
  } catch (error) {
    throw runtimeError('onnxruntime refused the model', error);
  }
}

function runtimeError(what: string, cause: unknown): AppError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const isMemory = /bad_alloc|failed to allocate|out of memory/i.test(reason);
  return new AppError(isMemory ? 'capacity.model-too-large' : 'bug.invariant', `${what}: ${reason}`, { cause });
}

/** A tensor over the array's own memory, views included; nothing is copied. */
export function floatTensor(values: Float32Array, dims: readonly number[]): Tensor {
  return new Tensor('float32', values, dims);
}

export function byteTensor(values: Int8Array, dims: readonly number[]): Tensor {
  return new Tensor('int8', values, dims);
}

export function intTensor(values: BigInt64Array, dims: readonly number[]): Tensor {
  return new Tensor('int64', values, dims);
}

/** Version of the native runtime: its kernels decide the last bits. */
export function runtimeVersion(): string {
  return env.versions.node ?? env.versions.common;
}
