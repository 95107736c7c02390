import { isAppError, isFamily } from '../base/errors.ts';
import type { LineJournal, RequestState } from '../batch/index.ts';
import type {
  EmbedRequest,
  EmbedResult,
  GenerateCheckpoint,
  GenerateDelta,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
} from '../engine/index.ts';
import type { Effort, Generation } from './generation.ts';
import type { Embed, Generate } from './ports.ts';

export interface GenerationOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: GenerateProgress) => void;
  /** What the line knows of its earlier life, and where it writes down how far it is. */
  readonly journal: LineJournal;
  /** Called once a try. */
  readonly openDeltas?: () => (delta: GenerateDelta) => void;
}

/**
 * Runs a request to its end, over as many engine processes and workers as it takes: it begins where the line's journal
 * says, and a try that ended with its process goes on from its last checkpoint. A request that is itself what ends the
 * processes is found and refused by the engine's client.
 * @throws what the engine reports, and the signal's reason; never `transient.engine-interrupted`
 */
export async function generateToEnd(
  generate: Generate,
  request: GenerateRequest,
  { signal, onProgress, journal, openDeltas }: GenerationOptions,
): Promise<Generation> {
  const saved = journal.find(request.id);
  if (saved?.type === 'ended') return takeOver(saved, journal.claims);
  const lineage = new Lineage(saved?.checkpoint ?? request.resume, saved);
  for (;;) {
    signal.throwIfAborted();
    const { resume } = lineage;
    journal.save(request.id, lineage.state);
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
          onCheckpoint: (checkpoint) => {
            lineage.noteCheckpoint(checkpoint);
            journal.save(request.id, lineage.state);
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
      lineage.noteResult(result);
      const { retries, wastedTokens } = lineage.state;
      journal.save(request.id, { ...lineage.state, type: 'ended', result });
      const resumedFrom = result.resumed === null ? null : result.resumedTokens;
      const resumed = result.resumed === null ? null : (lineage.state.resumed ?? result.resumed);
      const effort = { attempts: journal.claims + retries, resumedFrom, resumed, wastedTokens };
      return { result, earlier: [], repair: null, effort };
    } catch (error) {
      const next = findNextStart(error, lineage.state.checkpoint, resume, signal);
      if (next === undefined) throw error;
      lineage.startAgain(next, written.tokens);
    }
  }
}

/** A request that ended under an earlier owner of the line, while the line had more to do. */
function takeOver({ result, retries, wastedTokens, resumed }: EndedRequest, claims: number): Generation {
  const effort = {
    attempts: claims + retries,
    resumedFrom: result.completionTokens,
    resumed: resumed ?? 'exact',
    wastedTokens,
  } as const;
  return { result, earlier: [], repair: null, effort };
}

type EndedRequest = RequestState & { readonly type: 'ended' };
type RunningRequest = RequestState & { readonly type: 'running' };

/** Where one request stands, over all its tries. */
class Lineage {
  /** Where this try began. */
  resume: GenerateCheckpoint | null;
  state: RunningRequest;

  constructor(resume: GenerateCheckpoint | null, saved: RunningRequest | undefined) {
    this.resume = resume;
    this.state = { type: 'running', retries: 0, resumed: null, wastedTokens: 0, ...saved, checkpoint: resume };
  }

  noteCheckpoint(checkpoint: GenerateCheckpoint): void {
    this.state = { ...this.state, checkpoint };
    if (this.resume !== null && checkpoint.engineDigest !== this.resume.engineDigest) this.#noteUnequal();
  }

  noteResult({ resumed }: GenerateResult): void {
    if (resumed === 'tokens') this.#noteUnequal();
  }

  startAgain(next: GenerateCheckpoint | null, writtenTokens: number): void {
    const { retries, wastedTokens, resumed } = this.state;
    this.resume = next;
    this.state = {
      type: 'running',
      checkpoint: next,
      retries: retries + 1,
      wastedTokens: wastedTokens + Math.max(0, writtenTokens - tokensOf(next)),
      // from the start nothing is left of what an unequal engine wrote
      resumed: next === null ? null : resumed,
    };
  }

  #noteUnequal(): void {
    this.state = { ...this.state, resumed: 'tokens' };
  }
}

/** The same for embeddings, which begin again. */
export async function embedToEnd(
  embed: Embed,
  request: EmbedRequest,
  { signal, journal }: Pick<GenerationOptions, 'signal' | 'journal'>,
): Promise<{ readonly result: EmbedResult; readonly effort: Effort }> {
  for (let attempts = journal.claims; ; attempts++) {
    signal.throwIfAborted();
    try {
      const result = await embed(request, { signal });
      return { result, effort: { attempts, resumedFrom: null, resumed: null, wastedTokens: 0 } };
    } catch (error) {
      if (findNextStart(error, null, null, signal) === undefined) throw error;
    }
  }
}

/**
 * Where the next try begins: a checkpoint, null for the start; undefined when the error is the answer.
 * @param last newest checkpoint of the request @param resume where the try that failed began
 */
function findNextStart(
  error: unknown,
  last: GenerateCheckpoint | null,
  resume: GenerateCheckpoint | null,
  signal: AbortSignal,
): GenerateCheckpoint | null | undefined {
  if (signal.aborted || !isAppError(error)) return undefined;
  // a checkpoint that cannot be used costs its tokens, not the answer
  if (resume !== null && isFamily(error, 'corrupt')) return null;
  if (error.code !== 'transient.engine-interrupted') return undefined;
  const { checkpoint } = error.details as { readonly checkpoint?: unknown };
  return isCheckpoint(checkpoint) ? checkpoint : last;
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
