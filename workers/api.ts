import { Registry } from 'prom-client';
import { buildServer } from '../src/api/index.ts';
import { systemClock } from '../src/base/clock.ts';
import { AppError } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';
import type { Config } from '../src/config/index.ts';
import { describeModel } from '../src/engine/index.ts';
import { openShared } from './compose/open-shared.ts';
import { type RunningProcess, runProcess } from './compose/run-process.ts';

async function start(config: Config, log: Logger): Promise<RunningProcess> {
  const card = await describeModel(config.modelDir);
  const shared = await openShared(config, log);
  const { host, port, keys } = config.api;
  const app = await buildServer(
    { ...shared, models: [card], clock: systemClock, log, registry: new Registry() },
    { apiKeys: keys, maxFileBytes: config.limits.maxFileBytes, maxLineBytes: config.limits.maxLineBytes },
  );
  try {
    await app.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new AppError('input.port-taken', `port ${port} of ${host} is taken by another program`, { cause: error });
  }
  const address = app.server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  const urlHost = host.includes(':') ? `[${host}]` : host;
  return {
    ready: { url: `http://${urlHost}:${bound}`, port: bound },
    stop: async () => {
      await app.close();
      await shared.close();
    },
  };
}

await runProcess('api', start);
