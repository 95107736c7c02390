import { type Static, Type } from 'typebox';
import { buildDecoder } from '../decode-record.ts';

/** State of a batch's one webhook event, in the batch's own folder. */
export const webhookRecordSchema = Type.Object({
  version: Type.Literal(1),
  event_id: Type.String(),
  /** Exactly what is sent, every time. */
  body: Type.String(),
  url: Type.String(),
  state: Type.Enum(['pending', 'delivered', 'given-up'] as const),
  /** Every try, begun or ended. `status` null: no answer, or the try never ended. */
  tries: Type.Array(
    Type.Object({
      at_ms: Type.Integer(),
      status: Type.Union([Type.Integer(), Type.Null()]),
      error: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  next_ms: Type.Integer(),
});
export type WebhookRecord = Static<typeof webhookRecordSchema>;

export const decodeWebhookRecord = buildDecoder(webhookRecordSchema);
