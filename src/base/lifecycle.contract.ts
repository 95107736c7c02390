/**
 * How long a process may take to end. First signal: no new work, the current step stops at its next boundary, at most
 * `graceMs`. Then, or at a second signal, everything is aborted; the process is gone by `forceMs`.
 * A spot notice leaves 120 s and a container's stop timeout is `forceMs`, so both stay well below it.
 */
export const lifecycle = {
  graceMs: 25_000,
  forceMs: 30_000,
} as const;
