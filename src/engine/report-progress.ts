import type { Sequence } from './sequence.ts';

/** Tells the request's listener how far it is. */
export function reportProgress({ residence, answer, listener, promptTokens, rows }: Sequence): void {
  const { completionTokens } = answer;
  const window = residence?.window;
  const read = window === undefined ? 0 : window.isReady ? rows : window.readyRows;
  const prefilledTokens = Math.min(read, promptTokens);
  const phase = residence === null ? 'wait' : read < promptTokens ? 'prefill' : answer.phase;
  listener.onProgress({
    phase: phase === 'tools' ? 'answer' : phase,
    promptTokens,
    prefilledTokens,
    completionTokens,
  });
}
