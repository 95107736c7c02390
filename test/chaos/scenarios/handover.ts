import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { runThrough } from '../harness/run-through.ts';
import { type Outcome, onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';

/** Tokens between two checkpoints of an answer: all that a line may lose, and an orderly end should not even cost that. */
const intervalTokens = 64;

function judgeWaste(outcome: Outcome): Outcome {
  const allowed = intervalTokens * outcome.lines;
  if (outcome.wastedTokens <= allowed) return outcome;
  const problem = `${outcome.wastedTokens} tokens are wasted, an interval a line is ${allowed}`;
  return { ...outcome, problems: [...outcome.problems, problem] };
}

async function untilNextWorker(chaos: ChaosStack, askToEnd: () => void): Promise<void> {
  const pid = chaos.pidOf('analysis');
  askToEnd();
  await until('next worker', () => chaos.pidOf('analysis') !== pid, 120_000);
}

/** A metadata address: 404, and once, when told to, the notice. */
async function openMetadata(): Promise<{ readonly url: string; notice(): void; close(): void }> {
  let isDue = false;
  const server = createServer((request, response) => {
    const isNotice = isDue && request.method === 'GET';
    if (isNotice) isDue = false;
    response.writeHead(isNotice ? 200 : 404).end(isNotice ? JSON.stringify({ action: 'terminate' }) : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/latest/meta-data/spot/instance-action`,
    notice: () => {
      isDue = true;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Ends that are announced: the worker hands its answers over as far as they are. */
export const handoverScenarios: readonly Scenario[] = [
  {
    name: 'worker_sigterm',
    about: 'the worker is asked to end while tokens are produced: it hands over, and nothing is lost',
    run: ({ lines }) =>
      onStack({}, async (chaos) =>
        judgeWaste(
          await runThrough(chaos, {
            lines: lines ?? 30,
            tokens: 160,
            harm: () => untilNextWorker(chaos, () => chaos.terminate('analysis')),
          }),
        ),
      ),
  },
  {
    name: 'spot_notice',
    about: 'the machine is to be taken away in two minutes: the worker hands over, and nothing is lost',
    run: async ({ lines }) => {
      const metadata = await openMetadata();
      try {
        return await onStack({ env: { QUIRE_SPOT_NOTICE_URL: metadata.url } }, async (chaos) =>
          judgeWaste(
            await runThrough(chaos, {
              lines: lines ?? 60,
              tokens: 160,
              harm: () => untilNextWorker(chaos, metadata.notice),
            }),
          ),
        );
      } finally {
        metadata.close();
      }
    },
  },
];
