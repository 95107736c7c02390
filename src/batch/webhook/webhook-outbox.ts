import { type Clock, unixSeconds } from '../../base/clock.ts';
import { toAppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { keys, type ObjectStore, prefixes } from '../../storage/index.ts';
import { checkVersion, encodeRecord, parseStoredJson } from '../decode-record.ts';
import { mapConcurrent } from '../map-concurrent.ts';
import type { BatchRecord } from '../records.schema.ts';
import type { SendWebhook } from './send-webhook.ts';
import { signWebhook, webhookEventOf } from './webhook-event.ts';
import type { WebhookPolicy } from './webhook-policy.ts';
import { decodeWebhookRecord, type WebhookRecord } from './webhook-record.ts';

export interface WebhookDeps {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly policy: WebhookPolicy;
  /** null: no event is made. */
  readonly secret: Uint8Array | null;
  readonly send: SendWebhook;
}

/** Waits before the 2nd to the 7th try: about 7.2 hours in all. */
export const webhookGapsMs: readonly number[] = [5, 30, 120, 600, 3_600, 21_600].map((seconds) => seconds * 1000);
const maxTries = webhookGapsMs.length + 1;
const lookMs = 1_000;
const atOnce = 8;

/**
 * Tells receivers of the end of batches, at least once.
 *
 * O1. The event is stored before the batch's open marker goes, so a batch cannot end without it.
 * O2. Id and body are the same at every try; the signature has the time of the try.
 * O3. A try is stored before it is made and again when it has ended: a crash in between costs that try's wait, and two
 *     janitors do not send the same try, unless one is frozen: then the receiver hears twice.
 * O4. An answer of 2xx ends it, and so does the seventh try.
 */
export class WebhookOutbox {
  readonly #deps: WebhookDeps;
  /** When a pending event is due, by marker, so that waiting ones are not read at every look. */
  readonly #dueMs = new Map<string, number>();

  constructor(deps: WebhookDeps) {
    this.#deps = deps;
  }

  /** Stores the event of a batch that has ended, if anybody wants to hear of it. Repeating it changes nothing. */
  async enqueue(record: BatchRecord): Promise<void> {
    const { store, policy, secret, clock } = this.#deps;
    const event = webhookEventOf(record);
    const url = record.metadata?.['webhook_url'] ?? policy.url;
    // the caller of a single call has its answer
    if (event === null || url === null || secret === null || record.priority === 'interactive') return;
    const { tenant, id } = record;
    const state: WebhookRecord = {
      version: 1,
      event_id: event.id,
      body: JSON.stringify(event),
      url,
      state: 'pending',
      tries: [],
      next_ms: clock.nowMs(),
    };
    await store.create(keys.webhook(tenant, id), encodeRecord(state), { contentType: 'application/json' });
    // after the event: a marker without one is a batch that was deleted
    await store.put(keys.pendingWebhook(id), encodeRecord({ version: 1, tenant }));
  }

  /** Delivers until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    while (!signal.aborted) {
      await this.deliverDue(signal).catch((err: unknown) => log.error({ err }, 'webhooks cannot be delivered'));
      await clock.sleep(lookMs, signal).catch(() => {});
    }
  }

  /** One look at all pending events; those that are due are tried. @throws `transient.*` */
  async deliverDue(signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#deps;
    const seen = new Set<string>();
    for (let after: string | null = ''; after !== null; ) {
      const listing = await store.list(prefixes.webhooks, after === '' ? {} : { after });
      const markers = listing.objects.map(({ key }) => key);
      for (const key of markers) seen.add(key);
      const due = markers.filter((key) => (this.#dueMs.get(key) ?? 0) <= clock.nowMs());
      await mapConcurrent(due, atOnce, async (key) => {
        try {
          await this.#deliver(key, signal);
        } catch (err) {
          log.error({ key, err }, 'webhook cannot be delivered');
        }
      });
      after = listing.next;
    }
    for (const key of this.#dueMs.keys()) if (!seen.has(key)) this.#dueMs.delete(key);
  }

  async #deliver(marker: string, signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#deps;
    const batchId = marker.slice(prefixes.webhooks.length);
    const key = await this.#keyOf(marker, batchId);
    const object = key === undefined ? undefined : await store.get(key);
    // deleted with its batch
    if (key === undefined || object === undefined) return store.delete([marker]);
    const state = decodeWebhookRecord(object.body, key);
    if (state.state !== 'pending') return this.#close(marker);
    if (state.next_ms > clock.nowMs()) return this.#wait(marker, state.next_ms);
    if (state.tries.length >= maxTries) {
      await store.swap(key, encodeRecord({ ...state, state: 'given-up' }), object.etag);
      log.warn({ batchId, eventId: state.event_id, tries: maxTries }, 'webhook given up');
      return this.#close(marker);
    }
    await this.#try(key, state, object.etag, signal);
    // what became of it is read at the next look
    this.#dueMs.delete(marker);
  }

  async #try(key: string, state: WebhookRecord, etag: string, signal: AbortSignal): Promise<void> {
    const { store, clock, log, send, secret } = this.#deps;
    if (secret === null) return;
    const atMs = clock.nowMs();
    const gapMs = webhookGapsMs[state.tries.length] ?? 0;
    const begun = { at_ms: atMs, status: null, error: null };
    const trying: WebhookRecord = { ...state, tries: [...state.tries, begun], next_ms: atMs + gapMs };
    const taken = await store.swap(key, encodeRecord(trying), etag);
    // another janitor makes this try
    if (!taken.swapped) return;
    const { event_id: id, body, url } = state;
    const headers = signWebhook(secret, { id, body, atSeconds: unixSeconds(atMs) });
    const outcome = await send({ url, headers, body }, signal).then(
      (status) => ({ status, error: null }),
      (cause: unknown) => ({ status: null, error: toAppError(cause).message }),
    );
    const isDelivered = outcome.status !== null && outcome.status >= 200 && outcome.status < 300;
    const isLast = trying.tries.length >= maxTries;
    const ended: WebhookRecord = {
      ...trying,
      tries: [...state.tries, { ...begun, ...outcome }],
      state: isDelivered ? 'delivered' : isLast ? 'given-up' : 'pending',
    };
    const facts = { eventId: id, try: ended.tries.length, ...outcome };
    if (isDelivered) log.info(facts, 'webhook delivered');
    else log.warn(facts, isLast ? 'webhook given up' : 'webhook not delivered, tried again later');
    await store.swap(key, encodeRecord(ended), taken.etag);
  }

  async #keyOf(marker: string, batchId: string): Promise<string | undefined> {
    const object = await this.#deps.store.get(marker);
    if (object === undefined) return undefined;
    const value = parseStoredJson(object.body, marker);
    checkVersion(value, marker);
    return keys.webhook(String((value as { tenant?: unknown }).tenant), batchId);
  }

  #wait(marker: string, dueMs: number): void {
    this.#dueMs.set(marker, dueMs);
  }

  async #close(marker: string): Promise<void> {
    await this.#deps.store.delete([marker]);
    this.#dueMs.delete(marker);
  }
}
