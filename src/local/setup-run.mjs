import { spawnSync } from 'node:child_process';

/** What stops the setup, in one sentence for whoever started it. */
export class SetupError extends Error {}

/** Progress goes to stderr: what runs next may print results on stdout. */
export function say(text) {
  console.error(`setup: ${text}`);
}

/** Runs quietly; `failed` is null or why it failed, with what it printed. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 15 * 60_000,
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (result.error !== undefined && result.status === null) return { failed: result.error.message, stdout: '' };
  if (result.status === 0) return { failed: null, stdout: result.stdout };
  const how = result.signal === null ? `exit code ${result.status}` : result.signal;
  return { failed: `${how}\n${shorten(`${result.stdout}\n${result.stderr}`)}`, stdout: result.stdout };
}

/** Which mirror somebody installs from is theirs to know: addresses are left out of what we repeat. */
export function withoutHosts(text) {
  return text
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s'"<>)]+/gi, '<address>')
    .replace(/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET)\s+\S+/g, '$1 <address>')
    .replace(
      /\b(resolve|host|hostname|connect to|connecting to)\b([ :]+)['"]?[\w-]+(?:\.[\w-]+)+(?::\d+)?['"]?/gi,
      '$1$2<address>',
    );
}

/** npm names the reason first and prints its usage after it, apt-get names it last: both ends, not the middle. */
function shorten(text) {
  const lines = text.split('\n').filter((line) => !/^(?:npm error)?\s*$/.test(line));
  const kept = lines.length <= 14 ? lines : [...lines.slice(0, 10), '…', ...lines.slice(-4)];
  return withoutHosts(kept.join('\n'));
}
