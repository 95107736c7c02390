import type { Redis } from 'ioredis';
import { parseObject } from './parse-news.ts';
import type { EngineReport } from './ports.ts';

/** Workers report every 2 s; a few reports may get lost. */
const lifeMs = 15_000;

const keyOf = (workerId: string): string => `quire:engine:${workerId}`;
/** Names of the workers that may have a key; found faster than by looking through all keys. */
const namesKey = 'quire:engines';

/** The key's own expiry ends it, so that the clocks of machines need not agree. */
export async function saveEngineStats(redis: Redis, workerId: string, stats: object): Promise<void> {
  await redis.multi().set(keyOf(workerId), JSON.stringify(stats), 'PX', lifeMs).sadd(namesKey, workerId).exec();
}

export async function readEngineStats(redis: Redis): Promise<readonly EngineReport[]> {
  const names = await redis.smembers(namesKey);
  if (names.length === 0) return [];
  const texts = await redis.mget(names.map(keyOf));
  const silent = names.filter((_name, index) => (texts[index] ?? null) === null);
  // one that speaks again just now puts its name back
  if (silent.length > 0) await redis.srem(namesKey, ...silent);
  return names.flatMap((workerId, index) => {
    const stats = parseObject(texts[index] ?? '');
    return stats === null ? [] : [{ workerId, stats }];
  });
}
