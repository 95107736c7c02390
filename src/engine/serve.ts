import { serializeError } from '../base/errors.ts';
import { assertNever } from '../base/invariant.ts';
import type { Engine } from './engine.ts';
import type { ClientMessage, GenerateRequest, HostMessage } from './messages.ts';

/** Answers the client's messages with an engine: the host's half of the protocol. */
export function serveEngine(engine: Engine, send: (message: HostMessage) => void): (message: ClientMessage) => void {
  const start = (request: GenerateRequest): void => {
    const { id } = request;
    engine
      .submit(request, (progress) => send({ type: 'generate-progress', id, progress }))
      .then(
        (result) => send({ type: 'generate-end', id, result }),
        (error: unknown) => send({ type: 'generate-failed', id, error: serializeError(error) }),
      );
  };
  return (message) => {
    switch (message.type) {
      case 'generate-start':
        return start(message.request);
      case 'generate-cancel':
        return engine.cancel(message.id);
      default:
        return assertNever(message);
    }
  };
}
