import { type Clock, systemClock } from '../base/clock.ts';
import { AppError, serializeError } from '../base/errors.ts';
import { assertNever } from '../base/invariant.ts';
import { findRequestId, parseClientMessage } from './client-message.ts';
import type { PageMessage } from './kv/remote-pages.ts';
import type { EmbedRequest, GenerateRequest, HostMessage } from './messages.ts';
import type { EngineService } from './ports.ts';
import { ProgressLimit, StatsReporter } from './send-limits.ts';

/** The way to the client. */
export interface ClientPipe {
  /** Never throws; a message to a client that is gone is dropped. */
  send(message: HostMessage): void;
  /** False while earlier messages wait to be written: the client does not read as fast as we speak. */
  hasRoom(): boolean;
}

/** Where pages leave and enter the process, as files. */
export interface PageDoor {
  onMessage: (message: PageMessage) => void;
  arrived(path: string, found: boolean, bytesPerSecond: number | null): void;
}

/**
 * The host's half of the protocol: answers a client's messages with an engine.
 *
 * H1. Every start gets exactly one end: `generate-end`, `embed-end` or `request-failed`.
 * H2. `run-start` is in the pipe before the run begins, so a client knows what a process that did not survive it held.
 * H3. A message that is none is answered with `request-failed`, for the id it seems to be about.
 * H4. Progress (four a second and request) and statistics (one a second) are left out while the pipe is full;
 *     everything else is sent.
 */
export function serveEngine(
  engine: EngineService,
  pipe: ClientPipe,
  clock: Clock = systemClock,
  pages: PageDoor | null = null,
): (message: unknown) => void {
  const inWork = new Set<string>();
  const stats = new StatsReporter(
    clock,
    () => engine.stats(),
    (numbers) => {
      if (!pipe.hasRoom()) return false;
      pipe.send({ type: 'engine-stats', stats: numbers });
      return true;
    },
  );
  const say = (message: HostMessage): void => {
    pipe.send(message);
    stats.touch();
  };

  const generate = async (request: GenerateRequest): Promise<HostMessage> => {
    const { id } = request;
    const limit = new ProgressLimit();
    const result = await engine.generate(request, {
      onProgress: (progress) => {
        if (pipe.hasRoom() && limit.allows(progress.phase, clock.nowMs())) {
          pipe.send({ type: 'generate-progress', id, progress });
        }
        stats.touch();
      },
      onDelta: (delta) => say({ type: 'generate-delta', id, delta }),
      onCheckpoint: (checkpoint) => say({ type: 'generate-checkpoint', id, checkpoint }),
    });
    return { type: 'generate-end', id, result };
  };
  const embed = async (request: EmbedRequest): Promise<HostMessage> => {
    const result = await engine.embed(request);
    return { type: 'embed-end', id: request.id, result };
  };

  const run = async (id: string, work: () => Promise<HostMessage>): Promise<void> => {
    inWork.add(id);
    const end = await work().catch((error: unknown): HostMessage => failed(id, error));
    inWork.delete(id);
    say(end);
  };

  const start = (id: string, work: () => Promise<HostMessage>): void => {
    if (inWork.has(id)) throw new AppError('input.invalid-request', `request ${id} is in work already`);
    void run(id, work);
  };

  const receive = (value: unknown): void => {
    const message = parseClientMessage(value);
    switch (message.type) {
      case 'generate-start':
        start(message.request.id, () => generate(message.request));
        return;
      case 'embed-start':
        start(message.request.id, () => embed(message.request));
        return;
      case 'cancel':
        engine.cancel(message.id);
        return;
      case 'checkpoint':
        engine.checkpoint(message.id);
        return;
      case 'page-arrived':
        pages?.arrived(message.path, message.found, message.bytesPerSecond);
        return;
      default:
        assertNever(message);
    }
  };

  if (pages !== null) pages.onMessage = say;
  engine.onRun((ids) => say({ type: 'run-start', ids }));
  return (value) => {
    try {
      receive(value);
    } catch (error) {
      pipe.send(failed(findRequestId(value), error));
    }
    stats.touch();
  };
}

function failed(id: string, error: unknown): HostMessage {
  return { type: 'request-failed', id, error: serializeError(error) };
}
