import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { ChildLife } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';
import { buildDeferred } from './deferred.ts';

/** How a life began: it can work, it said (or the clock said) that it cannot, or it ended without a word. */
export type Beginning =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: AppError }
  | { readonly type: 'ended' };

/** After "failed" a child has nothing left to do but exit. */
const exitAfterFailedMs = 2_000;

/** Resolves with `said`, or with what happens before it: the end of the process, or of the time it has. Never rejects. */
export async function awaitBeginning(
  life: ChildLife,
  said: Promise<Beginning>,
  spec: ChildSpec,
  clock: Clock,
): Promise<Beginning> {
  const over = new AbortController();
  const late = buildDeferred<Beginning>();
  const message = `${spec.name} was not ready within ${spec.readyTimeoutMs} ms`;
  const error = new AppError('transient.timeout', message, { details: { timeoutMs: spec.readyTimeoutMs } });
  clock.sleep(spec.readyTimeoutMs, over.signal).then(
    () => late.resolve({ type: 'failed', error }),
    () => undefined,
  );
  const ended = life.exited.then((): Beginning => ({ type: 'ended' }));
  // the order matters when both have happened: what a process said explains its end
  const beginning = await Promise.race([said, ended, late.promise]);
  over.abort();
  return beginning;
}

/** Lets a process that reported its failure exit by itself, for a moment. */
export async function endFailed(life: ChildLife, clock: Clock): Promise<void> {
  const left = new AbortController();
  void life.exited.then(() => left.abort());
  await clock.sleep(exitAfterFailedMs, left.signal).then(
    () => life.kill(),
    () => undefined,
  );
}
