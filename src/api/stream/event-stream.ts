/** Server-sent events as OpenAI clients read them: every event is one line of JSON. */

/** Proxies that buffer or keep answers would hold back what comes word by word. */
export const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const;

export const encodeData = (value: Readonly<Record<string, unknown>>): string => `data: ${JSON.stringify(value)}\n\n`;

/** A comment: clients skip it, connections stay alive by it. */
export const heartbeat = ': waiting\n\n';
