import { silentLogger } from '../../src/base/log.ts';
import { openUnitConsumer } from '../../src/queue/index.ts';

/** A worker that takes one job, says so, and never ends it: for tests that kill it. */
const [, , redisUrl = ''] = process.argv;
openUnitConsumer({ redisUrl, log: silentLogger, concurrency: 1, lockMs: 1_000, stalledMs: 300 }, async () => {
  process.send?.('taken');
  await new Promise(() => {});
});
