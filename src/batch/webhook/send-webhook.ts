import { lookup } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { AppError } from '../../base/errors.ts';
import { mayConnect, type WebhookPolicy } from './webhook-policy.ts';

export interface WebhookCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Sends one try. @returns the status of the answer @throws `transient.*`, `input.config` for an address not allowed */
export type SendWebhook = (call: WebhookCall, signal: AbortSignal) => Promise<number>;

/** From the connection to the head of the answer. */
const defaultTimeoutMs = 10_000;

/** A sender that looks at the very address it connects to. */
export function buildWebhookSender(policy: WebhookPolicy, timeoutMs: number = defaultTimeoutMs): SendWebhook {
  return ({ url: text, headers, body }, signal) =>
    new Promise((resolve, reject) => {
      const url = new URL(text);
      const refused = (address: string): AppError =>
        new AppError('input.config', `webhook host ${url.host} is at ${address}, where webhooks may not go`);
      const literal = url.hostname.replace(/^\[|\]$/g, '');
      // no lookup happens for an address
      if (isIP(literal) !== 0 && !mayConnect(url, literal, policy)) return reject(refused(literal));
      const checkedLookup: LookupFunction = (hostname, options, done) => {
        lookup(hostname, { ...options, all: true }, (error, addresses) => {
          if (error !== null) return done(error, '', 0);
          const bad = addresses.find(({ address }) => !mayConnect(url, address, policy));
          if (bad !== undefined) return done(refused(bad.address), '', 0);
          if (options.all === true) return done(null, addresses);
          const [first] = addresses;
          done(null, first?.address ?? '', first?.family ?? 0);
        });
      };
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const call = send(
        url,
        {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(body)),
            'user-agent': 'quire-webhooks/1',
            ...headers,
          },
          lookup: checkedLookup,
          // a connection of its own: none of another name is used again
          agent: false,
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        },
        (answer) => {
          resolve(answer.statusCode ?? 0);
          // what the receiver says is of no use to us
          answer.destroy();
        },
      );
      call.on('error', (cause) => {
        if (cause instanceof AppError) reject(cause);
        else reject(new AppError('transient.timeout', `webhook receiver ${url.host} does not answer`, { cause }));
      });
      call.end(body);
    });
}
