import type OpenAI from 'openai';
import { toFile } from 'openai';

export interface Workload {
  readonly lines: number;
  /** Most tokens of the longest answers; others end after a quarter, a half and three quarters of it. @defaultValue 80 */
  readonly tokens?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface Submitted {
  readonly id: string;
  readonly customIds: readonly string[];
}

/** Chat lines that think for most of their tokens, so that there is a time in which an answer can be interrupted. */
export function buildLines({ lines, tokens = 80 }: Workload): readonly { custom_id: string }[] {
  const tokensOf = (index: number): number => Math.ceil((tokens * (1 + (index % 4))) / 4);
  return Array.from({ length: lines }, (_, index) => ({
    custom_id: `line-${index}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'quire-nano',
      messages: [{ role: 'user', content: `What does clause ${index} of the agreement say about deliveries?` }],
      max_completion_tokens: tokensOf(index),
      thinking_budget: Math.floor(tokensOf(index) * 0.7),
      seed: index,
    },
  }));
}

export async function uploadLines(client: OpenAI, lines: readonly object[]): Promise<string> {
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  const file = await client.files.create({ file: await toFile(Buffer.from(text), 'chaos.jsonl'), purpose: 'batch' });
  return file.id;
}

export async function submit(client: OpenAI, workload: Workload): Promise<Submitted> {
  const lines = buildLines(workload);
  const batch = await client.batches.create({
    input_file_id: await uploadLines(client, lines),
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...(workload.metadata === undefined ? {} : { metadata: workload.metadata }),
  });
  return { id: batch.id, customIds: lines.map((line) => line.custom_id) };
}
