import type { Logger } from '../base/log.ts';
import { prefixes } from '../storage/index.ts';
import type { ObjectCreatedEvent } from './s3/index.ts';

export interface EventTarget {
  readonly url: string;
  /** Sent as bearer token. */
  readonly token: string;
}

/** News is worth waiting for a moment only: the intake's own listing finds what was not told. */
const timeoutMs = 2_000;

/** Tells the intake of new objects in the inbox, in the form of S3's own notifications. Never throws. */
export function buildEventPoster(target: EventTarget, log: Logger): (event: ObjectCreatedEvent) => Promise<void> {
  return async (event) => {
    if (!event.key.startsWith(prefixes.inbox)) return;
    try {
      const response = await fetch(target.url, {
        method: 'POST',
        headers: { authorization: `Bearer ${target.token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ Records: [toRecord(event)] }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.arrayBuffer();
      if (!response.ok) log.warn({ status: response.status }, 'event was refused');
    } catch (error) {
      log.debug({ err: error }, 'event could not be sent');
    }
  };
}

function toRecord({ name, bucket, key, bytes, etag, atMs }: ObjectCreatedEvent): object {
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    eventTime: new Date(atMs).toISOString(),
    eventName: name,
    s3: {
      s3SchemaVersion: '1.0',
      bucket: { name: bucket },
      // keys travel as in a form: encoded, spaces as plus signs
      object: { key: encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/'), size: bytes, eTag: etag },
    },
  };
}
