export interface StopSignals {
  /** Aborts at the first signal: finish in order. */
  readonly stop: AbortSignal;
  /** Aborts at the second: end now. */
  readonly force: AbortSignal;
  /** Gives the signals their usual meaning back. */
  close(): void;
}

const handled = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** npm hands Ctrl-C on to a process that the terminal has told already; nobody presses it twice this fast. */
const echoMs = 200;

/** Turns SIGINT, SIGTERM and SIGHUP of this process into abort signals for `startStack`. */
export function openStopSignals(nowMs: () => number = Date.now): StopSignals {
  const stop = new AbortController();
  const force = new AbortController();
  let firstMs: number | undefined;
  const onSignal = (): void => {
    if (firstMs === undefined) {
      firstMs = nowMs();
      stop.abort();
    } else if (nowMs() - firstMs >= echoMs) {
      force.abort();
    }
  };
  for (const signal of handled) process.on(signal, onSignal);
  return {
    stop: stop.signal,
    force: force.signal,
    close: () => {
      for (const signal of handled) process.off(signal, onSignal);
    },
  };
}
