import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { runThrough } from '../harness/run-through.ts';
import { type Outcome, onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';

interface Heard {
  readonly id: string;
  readonly body: string;
  readonly isTaken: boolean;
}

/** A receiver that breaks the first connection and takes what comes then. */
async function openReceiver(): Promise<{ readonly url: string; readonly heard: readonly Heard[]; close(): void }> {
  const heard: Heard[] = [];
  const take = async (request: IncomingMessage, isTaken: boolean): Promise<void> => {
    heard.push({ id: String(request.headers['webhook-id']), body: await text(request), isTaken });
  };
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    const nth = requests;
    take(request, nth > 1).then(
      () => {
        if (nth === 1) request.socket.resetAndDestroy();
        else response.writeHead(200).end();
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    heard,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function judge(outcome: Outcome, heard: readonly Heard[], batchId: string): Outcome {
  const problems = [...outcome.problems];
  const ids = new Set(heard.map(({ id }) => id));
  const bodies = new Set(heard.map(({ body }) => body));
  if (ids.size !== 1 || bodies.size !== 1) problems.push(`${ids.size} ids and ${bodies.size} bodies of one event`);
  if (heard.filter(({ isTaken }) => isTaken).length !== 1)
    problems.push(`taken ${heard.length - 1} times instead of once`);
  const { type, data } = JSON.parse(heard[0]?.body ?? '{}') as { type?: string; data?: { id?: string } };
  if (type !== 'batch.completed' || data?.id !== batchId) problems.push(`the event is ${heard[0]?.body}`);
  return { ...outcome, problems };
}

/** Those who want to hear of the end of a batch. */
export const webhookScenarios: readonly Scenario[] = [
  {
    name: 'webhook_receiver_down',
    about: 'the receiver breaks off the first try, and the janitor dies after storing the event: it hears once, later',
    run: async ({ lines }) => {
      const receiver = await openReceiver();
      const secret = `whsec_${Buffer.from('chaos-secret-of-24-bytes').toString('base64')}`;
      const env = { QUIRE_WEBHOOK_URL: receiver.url, QUIRE_WEBHOOK_SECRET: secret };
      let batchId = '';
      try {
        return await onStack({ env, failpoints: 'close.before-marker=kill' }, async (chaos) => {
          const outcome = await runThrough(chaos, {
            lines: lines ?? 4,
            tokens: 24,
            when: 'submitted',
            harm: async ({ id }) => {
              batchId = id;
            },
          });
          await until('webhook that is taken', () => receiver.heard.some(({ isTaken }) => isTaken), 120_000);
          return judge({ ...outcome, kills: 1 }, receiver.heard, batchId);
        });
      } finally {
        receiver.close();
      }
    },
  },
];
