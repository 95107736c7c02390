import { systemClock } from '../src/base/clock.ts';
import { AppError, serializeError, toAppError } from '../src/base/errors.ts';
import { loadConfig } from '../src/config/index.ts';
import { logRequests, openEngineHost, serveEngine } from '../src/engine/host.ts';
import type { ClientPipe, HostMessage } from '../src/engine/index.ts';
import { openLogger } from './compose/logger.ts';
import { PipeRoom } from './compose/pipe-room.ts';

/** The engine process: a run of the model blocks its event loop, so nothing else lives here. */
const room = new PipeRoom();
const pipe: ClientPipe = {
  send: (message) => {
    if (process.connected) room.send((written) => process.send?.(message, undefined, undefined, written) ?? true);
  },
  hasRoom: () => room.hasRoom,
};

// the parent is the only reason to live
process.on('disconnect', () => process.exit(0));
if (process.send !== undefined && !process.connected) process.exit(0);
process.on('SIGTERM', () => process.exit(0));
// Ctrl-C reaches the whole process group; the worker ends us when its requests are done
process.on('SIGINT', () => {});

try {
  if (process.send === undefined)
    throw new AppError('input.state', 'the engine process is started by an analysis worker');
  const { modelDir, engine, engineLog, logLevel } = loadConfig();
  const startMs = Date.now();
  const host = await openEngineHost({
    modelDir,
    threads: engine.threads,
    reproducible: engine.reproducible,
    provider: engine.provider,
    precision: engine.precision,
    preparedFolder: engine.preparedFolder,
    pageMemoryBytes: engine.pageMemoryBytes,
    pageDisk: engine.pageDisk,
    pageStore: engine.pageStore && engine.pageDisk !== null,
    maxSequences: engine.maxSequences,
    prefillTokens: engine.prefillTokens,
    log: openLogger('engine', logLevel),
    draftTokens: engine.draftTokens,
  });
  const served = engineLog === null ? host.engine : logRequests(host.engine, engineLog);
  process.on('message', serveEngine(served, pipe, systemClock, host.remotePages));
  pipe.send({ type: 'engine-ready', card: host.card, loadMs: Date.now() - startMs });
} catch (error) {
  const known = toAppError(error);
  if (process.send === undefined) process.exit(1);
  process.send({ type: 'engine-failed', error: serializeError(known) } satisfies HostMessage, () => process.exit(1));
}
