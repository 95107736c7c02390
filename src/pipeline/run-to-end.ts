import { isAppError, isFamily } from '../base/errors.ts';
import type {
  EmbedRequest,
  EmbedResult,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
} from '../engine/index.ts';
import type { Effort, Generation } from './generation.ts';
import type { Embed, Generate } from './ports.ts';

export interface GenerationOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: GenerateProgress) => void;
  /** Called once a try. */
  readonly openDeltas?: () => (delta: GenerateDelta) => void;
}

/**
 * Runs a request to its end, over as many engine processes as it takes: a try that ended with its process goes on from
 * its last checkpoint. A request that is itself what ends them is found and refused by the engine's client.
 * @throws what the engine reports, and the signal's reason; never `transient.engine-interrupted`
 */
export async function generateToEnd(
  generate: Generate,
  request: GenerateRequest,
  { signal, onProgress, openDeltas }: GenerationOptions,
): Promise<Generation> {
  let { resume } = request;
  let wastedTokens = 0;
  for (let attempts = 1; ; attempts++) {
    signal.throwIfAborted();
    const written = new HighWater(tokensOf(resume));
    const take = openDeltas?.();
    try {
      const result = await generate(
        { ...request, resume },
        {
          signal,
          onProgress: (progress) => {
            written.see(progress.completionTokens);
            onProgress(progress);
          },
          ...(take === undefined
            ? {}
            : {
                onDelta: (delta) => {
                  written.see(delta.completionTokens);
                  take(delta);
                },
              }),
        },
      );
      const resumedFrom = result.resumed === null ? null : result.resumedTokens;
      return { result, repair: null, effort: { attempts, resumedFrom, resumed: result.resumed, wastedTokens } };
    } catch (error) {
      const next = findNextStart(error, resume, signal);
      if (next === undefined) throw error;
      resume = next;
      wastedTokens += Math.max(0, written.tokens - tokensOf(next));
    }
  }
}

/** The same for embeddings, which begin again. */
export async function embedToEnd(
  embed: Embed,
  request: EmbedRequest,
  signal: AbortSignal,
): Promise<{ readonly result: EmbedResult; readonly effort: Effort }> {
  for (let attempts = 1; ; attempts++) {
    signal.throwIfAborted();
    try {
      const result = await embed(request, { signal });
      return { result, effort: { attempts, resumedFrom: null, resumed: null, wastedTokens: 0 } };
    } catch (error) {
      if (findNextStart(error, null, signal) === undefined) throw error;
    }
  }
}

/** Where the next try begins: a checkpoint, null for the start; undefined when the error is the answer. */
function findNextStart(
  error: unknown,
  resume: GenerateCheckpoint | null,
  signal: AbortSignal,
): GenerateCheckpoint | null | undefined {
  if (signal.aborted || !isAppError(error)) return undefined;
  // a checkpoint that cannot be used costs its tokens, not the answer
  if (resume !== null && isFamily(error, 'corrupt')) return null;
  if (error.code !== 'transient.engine-interrupted') return undefined;
  const { checkpoint } = error.details as { readonly checkpoint?: unknown };
  return isCheckpoint(checkpoint) ? checkpoint : resume;
}

/** It came from the engine's own process over our own channel; only its presence is in doubt. */
function isCheckpoint(value: unknown): value is GenerateCheckpoint {
  return typeof value === 'object' && value !== null && 'tokenIds' in value && Array.isArray(value.tokenIds);
}

const tokensOf = (checkpoint: GenerateCheckpoint | null): number => checkpoint?.tokenIds.length ?? 0;

/** Most completion tokens that were heard of. */
class HighWater {
  tokens: number;

  constructor(tokens: number) {
    this.tokens = tokens;
  }

  see(tokens: number): void {
    this.tokens = Math.max(this.tokens, tokens);
  }
}
