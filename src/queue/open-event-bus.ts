import { readEngineStats, saveEngineStats } from './engine-stats.ts';
import type { QuireEvent, UnitProgress } from './messages.schema.ts';
import { parseEvent, parseProgress } from './parse-news.ts';
import type { EventBus } from './ports.ts';
import { openCommandConnection, openPatientConnection, type RedisOptions, reach } from './redis-connection.ts';

const channel = 'quire:events';
const progressKey = (batchId: string): string => `quire:progress:${batchId}`;

/** A batch nobody works on leaves nothing behind. */
const progressSeconds = 60;
/** Workers report four times a second while the engine runs; a longer silence is a dead worker, or a very long step. */
const staleMs = 30_000;

/** Opens both directions of news. Redis may be away: what is published then is lost, by contract. */
export function openEventBus(options: RedisOptions): EventBus {
  const { log } = options;
  const publisher = openCommandConnection(options, 'quire-news-out');
  const subscriber = openPatientConnection(options, 'quire-news-in');
  const listeners = new Set<(event: QuireEvent) => void>();

  // the client subscribes again by itself after a reconnect
  subscriber.subscribe(channel).catch((err: unknown) => log.debug({ err }, 'subscription ended'));
  subscriber.on('message', (_channel: string, text: string) => {
    const event = parseEvent(text);
    if (event === null) return;
    for (const listener of [...listeners]) {
      try {
        listener(event);
      } catch (err) {
        log.error({ err, batchId: event.batchId }, 'listener of events failed');
      }
    }
  });

  const tryTo = async (what: string, batchId: string, run: () => Promise<unknown>): Promise<void> => {
    try {
      await reach(publisher, run);
    } catch (err) {
      log.debug({ err, batchId }, `${what} lost`);
    }
  };

  return {
    publish: (event) => tryTo('event', event.batchId, () => publisher.publish(channel, JSON.stringify(event))),
    subscribe: (listener) => {
      // wrapped, so that one function subscribed twice is two subscriptions
      const own = (event: QuireEvent): void => listener(event);
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
    saveProgress: (batchId, progress) =>
      tryTo('progress', batchId, () =>
        publisher
          .multi()
          .hset(progressKey(batchId), progress.unitId, JSON.stringify(progress))
          .expire(progressKey(batchId), progressSeconds)
          .exec(),
      ),
    clearProgress: (batchId, unitId) => tryTo('progress', batchId, () => publisher.hdel(progressKey(batchId), unitId)),
    readProgress: async (batchId) => {
      const fields = await reach(publisher, () => publisher.hgetall(progressKey(batchId)));
      const oldestMs = Date.now() - staleMs;
      return Object.values(fields)
        .map(parseProgress)
        .filter((progress): progress is UnitProgress => progress !== null && progress.atMs >= oldestMs)
        .sort((a, b) => (a.unitId < b.unitId ? -1 : 1));
    },
    saveEngineStats: async (workerId, stats) => {
      try {
        await reach(publisher, () => saveEngineStats(publisher, workerId, stats));
      } catch (err) {
        log.debug({ err }, 'engine figures lost');
      }
    },
    readEngineStats: () => reach(publisher, () => readEngineStats(publisher)),
    close: async () => {
      listeners.clear();
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
