import { startStack } from '../../../src/local/start-stack.ts';
import { standInWorkers } from './stand-in-workers.ts';

/** `quire up` in small: runs a stack of stand-ins over the folder it is given, and prints what it has. */
const stack = await startStack({
  dataDir: process.argv[2] ?? '',
  apiHost: '127.0.0.1',
  apiPort: 0,
  modelDir: 'no model',
  workers: standInWorkers,
});
console.log(JSON.stringify({ pids: stack.pids(), redisUrl: stack.redisUrl, s3: stack.s3 }));
process.exit(await stack.ended);
