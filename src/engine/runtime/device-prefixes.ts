import type { Tensor } from 'onnxruntime-node';
import type { Device } from './provider.ts';

/** Device memory for prefixes; beyond it those go that were read longest ago. */
const defaultBytes = 2 ** 30;

interface Kept {
  readonly tensor: Tensor;
  readonly bytes: number;
}

/**
 * Prefix latents in the memory of a device: uploaded once, read by every run behind the prefix. Known by the array they
 * were made of, which is not kept alive: what is left of a prefix that is gone leaves when others need the room.
 */
export class DevicePrefixes {
  readonly #device: Pick<Device, 'upload'>;
  readonly #mostBytes: number;
  readonly #byArray = new WeakMap<Float32Array, Kept>();
  /** In order of use. */
  readonly #kept = new Set<Kept>();
  #bytes = 0;

  constructor(device: Pick<Device, 'upload'>, mostBytes = defaultBytes) {
    this.#device = device;
    this.#mostBytes = mostBytes;
  }

  /** Between runs. @param values will not change any more. @param tensor over them, two-dimensional */
  async keep(values: Float32Array, tensor: Tensor): Promise<void> {
    const known = this.#byArray.get(values);
    if (known !== undefined && this.#kept.delete(known)) {
      this.#kept.add(known);
      return;
    }
    const made: Kept = { tensor: await this.#device.upload(tensor), bytes: values.byteLength };
    this.#byArray.set(values, made);
    this.#kept.add(made);
    this.#bytes += made.bytes;
    for (const oldest of this.#kept) if (this.#bytes > this.#mostBytes) this.#drop(oldest);
  }

  /** Undefined: not kept, or gone again because the device has no room for it. */
  find(values: Float32Array): Tensor | undefined {
    const known = this.#byArray.get(values);
    return known !== undefined && this.#kept.has(known) ? known.tensor : undefined;
  }

  close(): void {
    for (const one of this.#kept) this.#drop(one);
  }

  #drop(one: Kept): void {
    this.#kept.delete(one);
    this.#bytes -= one.bytes;
    one.tensor.dispose();
  }
}
