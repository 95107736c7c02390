import type { Clock } from '../../src/base/clock.ts';
import type { Logger } from '../../src/base/log.ts';

/** A notice comes two minutes before the machine goes: makers of spot machines ask to look every 5 s. */
const everyMs = 5_000;
/** The address is on this very machine. */
const answerMs = 2_000;
/** Of a token for the address; asked for anew long before. */
const tokenSeconds = 300;

export interface SpotWatchOptions {
  /** Answers 200 once the machine is to be taken away, 404 before. */
  readonly url: string;
  /** Called once. */
  readonly onNotice: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface SpotWatch {
  stop(): void;
}

/**
 * Polls a metadata address for the notice that this machine will be taken away. An address that does not answer is no
 * notice: it is told once, and asked again.
 */
export function watchSpotNotice({ url, onNotice, clock, log }: SpotWatchOptions): SpotWatch {
  const stop = new AbortController();
  let isSilent = false;
  const watch = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        const isNoticed = await askForNotice(url, stop.signal);
        isSilent = false;
        if (isNoticed) {
          log.warn({ url }, 'this machine is about to be taken away');
          onNotice();
          return;
        }
      } catch (error) {
        if (!isSilent && !stop.signal.aborted) log.warn({ url, err: String(error) }, 'spot notices cannot be read');
        isSilent = true;
      }
      await clock.sleep(everyMs, stop.signal);
    }
  };
  // it ends by a notice or by `stop`
  watch().catch(() => {});
  return { stop: () => stop.abort() };
}

/** @returns false for every answer but a success: most of the time there is nothing under the address */
async function askForNotice(url: string, signal: AbortSignal): Promise<boolean> {
  const token = await findToken(url, signal);
  const response = await ask(url, signal, { headers: token === null ? {} : { 'x-aws-ec2-metadata-token': token } });
  await response.body?.cancel();
  return response.status === 200;
}

/** Amazon's addresses want a token first; others do not know the question. */
async function findToken(url: string, signal: AbortSignal): Promise<string | null> {
  const response = await ask(new URL('/latest/api/token', url).href, signal, {
    method: 'PUT',
    headers: { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenSeconds) },
  });
  const text = await response.text();
  return response.status === 200 && /^[\x21-\x7e]{1,1024}$/.test(text) ? text : null;
}

function ask(url: string, signal: AbortSignal, init: RequestInit): Promise<Response> {
  // a redirect would lead away from this machine
  return fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]) });
}
