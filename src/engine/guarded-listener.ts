import type { GenerateCheckpoint, GenerateDelta, GenerateProgress } from './messages.ts';
import type { GenerateListener } from './ports.ts';

/** A listener that never throws in the middle of a round: its first error is kept, and it is not called again. */
export class GuardedListener implements GenerateListener {
  readonly #listener: GenerateListener;
  #failure: { readonly error: unknown } | null = null;

  constructor(listener: GenerateListener) {
    this.#listener = listener;
  }

  get failure(): { readonly error: unknown } | null {
    return this.#failure;
  }

  onProgress(progress: GenerateProgress): void {
    this.#call(() => this.#listener.onProgress(progress));
  }

  onDelta(delta: GenerateDelta): void {
    this.#call(() => this.#listener.onDelta(delta));
  }

  onCheckpoint(checkpoint: GenerateCheckpoint): void {
    this.#call(() => this.#listener.onCheckpoint(checkpoint));
  }

  #call(tell: () => void): void {
    if (this.#failure !== null) return;
    try {
      tell();
    } catch (error) {
      this.#failure = { error };
    }
  }
}
