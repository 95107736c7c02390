import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../base/log.ts';
import { toHttpError } from '../error-handler.ts';
import { presentError } from '../present/error.ts';
import { encodeData, eventStreamHeaders } from './event-stream.ts';
import type { StreamItem } from './stream-completion.ts';

/**
 * Sends a stream as server-sent events. Until its first item it may still become an ordinary error answer; afterwards an
 * error is the last event. What is not asked for by the socket is not taken from `items`.
 * @throws what the first item throws
 */
export async function sendStream(
  items: AsyncGenerator<StreamItem, void, undefined>,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): Promise<FastifyReply> {
  // also when the connection ends before anybody has begun to read the stream
  reply.raw.once('close', () => void items.return(undefined));
  const first = await items.next();
  // ended from outside: the caller left before there was anything to say
  if (first.done === true) return reply.send();
  if (first.value.type === 'failure') {
    const { status, body } = first.value.answer;
    return reply.code(status).send(body);
  }
  const describe = (thrown: unknown): string => {
    const error = toHttpError(thrown, request);
    const { status, body } = presentError(error);
    if (status >= 500) log.error({ requestId: request.id, code: error.code, err: error }, 'stream failed');
    return encodeData({ error: body.error });
  };
  return reply.headers(eventStreamHeaders).send(Readable.from(encodeItems(first.value.text, items, describe)));
}

async function* encodeItems(
  first: string,
  items: AsyncGenerator<StreamItem, void, undefined>,
  describe: (thrown: unknown) => string,
): AsyncGenerator<string, void, undefined> {
  try {
    yield first;
    for await (const item of items) {
      if (item.type === 'text') yield item.text;
      else yield encodeData(item.answer.body);
    }
  } catch (error) {
    yield describe(error);
  } finally {
    await items.return(undefined);
  }
}
