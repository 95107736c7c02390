import { AppError, serializeError, toAppError } from '../src/base/errors.ts';
import { loadConfig } from '../src/config/index.ts';
import { openEngineHost, serveEngine } from '../src/engine/host.ts';
import type { ClientMessage, HostMessage } from '../src/engine/index.ts';

/** The engine process: a run of the model blocks its event loop, so nothing else lives here. */
const send = (message: HostMessage): void => {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
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
  const config = loadConfig();
  const startMs = Date.now();
  const host = await openEngineHost({ modelDir: config.modelDir, threads: config.engine.threads });
  const receive = serveEngine(host.engine, send);
  process.on('message', (message) => receive(message as ClientMessage));
  send({ type: 'engine-ready', card: host.card, loadMs: Date.now() - startMs });
} catch (error) {
  const known = toAppError(error);
  if (process.send === undefined) process.exit(1);
  process.send({ type: 'engine-failed', error: serializeError(known) } satisfies HostMessage, () => process.exit(1));
}
