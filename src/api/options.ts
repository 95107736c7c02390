import { AppError } from '../base/errors.ts';

export interface ApiOptions {
  /** null: every caller is let in; only for loopback. */
  readonly apiKeys: readonly string[] | null;
  /** @defaultValue 512 MiB, OpenAI's limit of a batch input */
  readonly maxFileBytes?: number;
  /** Most bytes of a chat or analysis request. @defaultValue 1 MiB, the limit of a line */
  readonly maxLineBytes?: number;
  /**
   * Longest wait of a synchronous call, and longest silence of a stream.
   * @defaultValue 570,000: the stock client gives up at 600 s, and it should hear the reason from us
   */
  readonly syncTimeoutMs?: number;
  /** Wait between two looks at the store while no event arrives. @defaultValue 500 growing to 2,000 */
  readonly syncPollMs?: number;
  /** Silence of a stream after which it says that it is alive. @defaultValue 10,000, well below what proxies cut at */
  readonly heartbeatMs?: number;
  /** Longest time a refused upload is still read, so that its sender hears why. @defaultValue 10,000 */
  readonly drainMs?: number;
}

export type CompiledApiOptions = Required<ApiOptions>;

/** @throws `input.config` naming the option that is no positive whole number */
export function compileApiOptions(options: ApiOptions): CompiledApiOptions {
  const compiled = {
    maxFileBytes: 512 * (1 << 20),
    maxLineBytes: 1 << 20,
    syncTimeoutMs: 570_000,
    syncPollMs: 500,
    heartbeatMs: 10_000,
    drainMs: 10_000,
    ...options,
  };
  for (const [name, value] of Object.entries(compiled)) {
    if (name !== 'apiKeys' && !(Number.isSafeInteger(value) && (value as number) > 0))
      throw new AppError('input.config', `${name} must be a positive whole number, met ${String(value)}`);
  }
  return Object.freeze(compiled);
}
