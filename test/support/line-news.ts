import type { LineDelta, QuireEvent } from '../../src/queue/index.ts';
import type { TestApi } from './build-api.ts';

export type Chunk = {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: Readonly<Record<string, unknown>>;
    readonly logprobs: unknown;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: unknown;
  readonly ext?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
};

/** The events of a body: JSON, `[DONE]` as null; comments are left out. */
export function readEvents(body: string): (Chunk | null)[] {
  return body
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => (event === 'data: [DONE]' ? null : (JSON.parse(event.slice('data: '.length)) as Chunk)));
}

/** What a client joins of one choice. */
export function joinChunks(events: readonly (Chunk | null)[], index = 0): { reasoning: string; content: string } {
  const deltas = events.flatMap((chunk) => chunk?.choices?.filter((choice) => choice.index === index) ?? []);
  const join = (field: string): string => deltas.map(({ delta }) => delta[field] ?? '').join('');
  return { reasoning: join('reasoning_content'), content: join('content') };
}

const none = { at: 0, text: '' };

/** News of one choice of a line, as a worker publishes it. */
export function lineDelta(batchId: string, completionTokens: number, more: Partial<LineDelta>): QuireEvent {
  const empty = { choice: 0, completionTokens, reasoning: none, content: none, toolCalls: [], logprobs: null };
  return { type: 'line-delta', batchId, delta: { ...empty, ...more } };
}

/** The batch behind the request that waits now. */
export async function waitingBatch({ queue }: Pick<TestApi, 'queue'>): Promise<{ tenant: string; id: string }> {
  while (queue.controls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  return { tenant: 'default', id: queue.controls.at(-1)?.batchId ?? '' };
}
