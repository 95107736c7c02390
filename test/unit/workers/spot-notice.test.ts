import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type SpotWatch, watchSpotNotice } from '../../../workers/compose/spot-notice.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server | undefined;
let watch: SpotWatch | undefined;

afterEach(async () => {
  watch?.stop();
  server?.closeAllConnections();
  server?.close();
});

const status =
  (code: number, text = ''): Answer =>
  (_request, response) => {
    response.writeHead(code, { location: 'http://127.0.0.1:9/elsewhere' }).end(text);
  };

/** A metadata service of our own, and a watch of it whose time the test moves. */
async function setUp(notice: Answer, token: Answer = status(404)) {
  const seen: string[] = [];
  const current = { notice };
  server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers['x-aws-ec2-metadata-token'] ?? '-'}`);
    if (request.url === '/latest/api/token') token(request, response);
    else current.notice(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clock = new HandClock();
  const log = new RecordingLogger();
  let notices = 0;
  const noticed = new Promise<void>((resolve) => {
    watch = watchSpotNotice({
      url: `http://127.0.0.1:${port}/latest/meta-data/spot/instance-action`,
      onNotice: () => {
        notices += 1;
        resolve();
      },
      clock,
      log,
    });
  });
  /** Resolves when the watch has had its answer and sleeps until the next time. */
  const untilAsleep = async (): Promise<void> => {
    while (clock.sleepingUpTo(5_000) === 0) await new Promise(setImmediate);
  };
  return { seen, current, clock, log, noticed, untilAsleep, notices: () => notices };
}

describe('watchSpotNotice', () => {
  it('asks every 5 s until there is a notice, and tells of it once', async () => {
    const { seen, current, clock, noticed, untilAsleep, notices } = await setUp(status(404));
    await untilAsleep();
    expect(seen).toEqual(['PUT /latest/api/token -', 'GET /latest/meta-data/spot/instance-action -']);
    expect(clock.sleepingUpTo(4_999)).toBe(0);
    current.notice = status(200, '{"action":"terminate"}');
    clock.advance(5_000);
    await noticed;
    expect(notices()).toBe(1);
    expect(seen).toHaveLength(4);
  });

  it('shows the token that it was given', async () => {
    const { seen, noticed } = await setUp(status(200), status(200, 'secret=='));
    await noticed;
    expect(seen.at(-1)).toBe('GET /latest/meta-data/spot/instance-action secret==');
  });

  it.each([301, 401, 500])('takes status %i for no notice', async (code) => {
    const { untilAsleep, notices } = await setUp(status(code));
    await untilAsleep();
    expect(notices()).toBe(0);
  });

  it('tells once that the address does not answer, and goes on asking', async () => {
    const { current, clock, log, noticed, untilAsleep } = await setUp((request) => request.socket.destroy());
    await untilAsleep();
    clock.advance(5_000);
    await untilAsleep();
    expect(log.lines.map(({ message }) => message)).toEqual(['spot notices cannot be read']);
    current.notice = status(200);
    clock.advance(5_000);
    await noticed;
  });

  it('asks no more once it is stopped', async () => {
    const { seen, clock, untilAsleep } = await setUp(status(404));
    await untilAsleep();
    watch?.stop();
    clock.advance(60_000);
    expect(clock.sleepingUpTo(60_000)).toBe(0);
    expect(seen).toHaveLength(2);
  });
});
