import { InferenceSession, Tensor } from 'onnxruntime-node';
import { AppError } from '../../base/errors.ts';
import { GraphBuilder } from '../model/graph-builder.ts';
import type { Provider } from '../model/operators/provider-operators.ts';

/** What a provider needs that is missing, in the words of who starts the program. */
const needs: Readonly<Record<Exclude<Provider, 'cpu'>, string>> = {
  webgpu: 'it needs a Vulkan loader (libvulkan.so.1) and a driver for it',
  cuda: 'it needs an NVIDIA GPU with CUDA 12 and cuDNN 9, and the libraries that `npm run gpu:install` fetches',
};

/**
 * A device beside the CPU, found to work before a model is loaded for it, and the way into its memory.
 * The Node binding makes device tensors of outputs only, and only for WebGPU: an upload is a run that copies.
 */
export class Device {
  readonly provider: Exclude<Provider, 'cpu'>;
  readonly #copy: InferenceSession;

  private constructor(provider: Exclude<Provider, 'cpu'>, copy: InferenceSession) {
    this.provider = provider;
    this.#copy = copy;
  }

  /** @throws `input.config` when this machine or this installation has no such device */
  static async open(provider: Exclude<Provider, 'cpu'>): Promise<Device> {
    const graph = GraphBuilder.open('copy', null);
    const values = graph.input('values', 'float32', ['rows', 'width']);
    graph.output(graph.op('Identity', [values]), 'float32', ['rows', 'width'], 'copied');
    try {
      const copy = await InferenceSession.create(graph.encodeModel(), {
        executionProviders: [provider],
        preferredOutputLocation: provider === 'webgpu' ? 'gpu-buffer' : 'cpu',
        logSeverityLevel: 3,
      });
      const device = new Device(provider, copy);
      if (provider === 'webgpu') (await device.upload(new Tensor('float32', new Float32Array(4), [1, 4]))).dispose();
      return device;
    } catch (cause) {
      const what = `QUIRE_PROVIDER is ${provider}, which this machine does not offer: ${needs[provider]}; allowed here: cpu`;
      throw new AppError('input.config', what, { cause, details: { provider, reason: firstLine(cause) } });
    }
  }

  /** Can tensors stay on the device between runs? */
  get keepsTensors(): boolean {
    return this.provider === 'webgpu';
  }

  /** @param tensor two-dimensional. @returns the same in the device's memory; to be disposed */
  async upload(tensor: Tensor): Promise<Tensor> {
    const { copied } = await this.#copy.run({ values: tensor });
    if (copied === undefined) throw new AppError('bug.invariant', 'a copy has no output');
    return copied;
  }

  async close(): Promise<void> {
    await this.#copy.release();
  }
}

function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.split('\n')[0] ?? '';
}
