import { createHmac } from 'node:crypto';
import { AppError } from '../../base/errors.ts';
import { sha256Hex } from '../../base/hash.ts';
import type { BatchRecord } from '../records.schema.ts';

/** What a receiver is told of the end of a batch; OpenAI's event. */
export interface WebhookEvent {
  /** The same at every try, so that a receiver can drop what it has. */
  readonly id: string;
  readonly object: 'event';
  /** Unix seconds of the batch's end. */
  readonly created_at: number;
  readonly type: 'batch.completed' | 'batch.failed' | 'batch.expired' | 'batch.cancelled';
  readonly data: { readonly id: string };
}

/** The event of a batch's end; null while it has none. Pure: built twice, it is the same. */
export function webhookEventOf(record: BatchRecord): WebhookEvent | null {
  const { id, status } = record;
  if (status !== 'completed' && status !== 'failed' && status !== 'expired' && status !== 'cancelled') return null;
  const endedAt = record[`${status}_at`];
  return {
    id: `evt_${sha256Hex(`${id}/${status}`).slice(0, 24)}`,
    object: 'event',
    created_at: endedAt ?? record.created_at,
    type: `batch.${status}`,
    data: { id },
  };
}

const secretPrefix = 'whsec_';
/** Standard Webhooks asks for 24 to 64 bytes. */
const minSecretBytes = 24;
const maxSecretBytes = 64;

/** `whsec_` and base64 → the key. @throws `input.config`; the value is not repeated */
export function parseWebhookSecret(text: string): Buffer {
  const base64 = text.startsWith(secretPrefix) ? text.slice(secretPrefix.length) : '';
  const key = Buffer.from(base64, 'base64');
  const isBase64 = key.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  if (isBase64 && key.length >= minSecretBytes && key.length <= maxSecretBytes) return key;
  throw new AppError(
    'input.config',
    `a webhook secret (QUIRE_WEBHOOK_SECRET) is "${secretPrefix}" and ${minSecretBytes} to ${maxSecretBytes} bytes in base64, met ${key.length} bytes`,
  );
}

/** Headers of one try. @param atSeconds time of the try: receivers refuse what is older than five minutes */
export function signWebhook(
  secret: Uint8Array,
  { id, body, atSeconds }: { readonly id: string; readonly body: string; readonly atSeconds: number },
): Readonly<Record<string, string>> {
  const signature = createHmac('sha256', secret).update(`${id}.${atSeconds}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(atSeconds), 'webhook-signature': `v1,${signature}` };
}
