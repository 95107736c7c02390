import type { FastifyInstance } from 'fastify';

/**
 * Ends every connection once the last answer is out. Node closes only connections that have answered something before;
 * one that a client opened ahead of need would hold the process back for as long as the client likes.
 */
export function closeConnectionsWhenDone(app: FastifyInstance): void {
  let active = 0;
  let closing = false;
  const closeWhenDone = (): void => {
    if (closing && active === 0) app.server.closeAllConnections();
  };
  app.addHook('onRequest', async (_request, reply) => {
    active += 1;
    reply.raw.once('close', () => {
      active -= 1;
      closeWhenDone();
    });
  });
  app.addHook('preClose', async () => {
    closing = true;
    closeWhenDone();
  });
}
