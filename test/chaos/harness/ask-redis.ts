import { connect } from 'node:net';

/** Sends one command to a Redis server, past every client library, and gives its one-line answer. */
export function askRedis(url: string, words: readonly string[]): Promise<string> {
  const { hostname, port, password } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('error', reject);
    socket.on('data', (bytes) => {
      text += String(bytes);
      const [authAnswer, answer, rest] = text.split('\r\n');
      if (rest === undefined || answer === undefined) return;
      socket.destroy();
      if (authAnswer?.startsWith('+') && !answer.startsWith('-')) resolve(answer);
      else reject(new Error(`redis answers ${text}`));
    });
    socket.write(`AUTH ${password}\r\n${words.join(' ')}\r\n`);
  });
}
