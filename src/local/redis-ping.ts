import { connect } from 'node:net';

/**
 * What a Redis server says to AUTH and PING:
 * `ready`; `loading` (it reads its append-only file and knows the password); `refused` (not our password, or no Redis);
 * `silent` (nobody listens, or no answer in time).
 */
export type RedisAnswer = 'ready' | 'loading' | 'refused' | 'silent';

/** One short connection; the queue room's client is for everything else. */
export function pingRedis(port: number, password: string, timeoutMs: number): Promise<RedisAnswer> {
  return exchange(port, `AUTH ${password}\r\nPING\r\n`, timeoutMs, (text) => {
    const [auth, ping] = text.split('\r\n');
    if (auth === undefined || !text.includes('\r\n')) return undefined;
    if (auth !== '+OK') return 'refused';
    if (ping === undefined || text.split('\r\n').length < 3) return undefined;
    if (ping === '+PONG') return 'ready';
    return ping.startsWith('-LOADING') ? 'loading' : 'refused';
  });
}

/** Asks the server to flush its append-only file and exit; resolves when the connection ends or the time is over. */
export async function shutDownRedis(port: number, password: string, timeoutMs: number): Promise<void> {
  await exchange(port, `AUTH ${password}\r\nSHUTDOWN NOSAVE\r\n`, timeoutMs, () => undefined);
}

/** `read` sees all bytes so far and gives the answer once it is whole. */
function exchange(
  port: number,
  commands: string,
  timeoutMs: number,
  read: (text: string) => RedisAnswer | undefined,
): Promise<RedisAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    const settle = (answer: RedisAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => settle('silent'));
    socket.on('connect', () => socket.write(commands));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const answer = read(text);
      if (answer !== undefined) settle(answer);
      else if (text.length > 4096) settle('refused');
    });
    socket.on('error', () => settle('silent'));
    socket.on('close', () => settle('silent'));
  });
}
