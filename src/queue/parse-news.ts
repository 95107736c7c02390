import type { LineDelta, QuireEvent, TextPiece, ToolCallPiece, UnitProgress } from './messages.schema.ts';

/** Text from the channel → event; null for what is not ours: anybody with the password may publish. */
export function parseEvent(text: string): QuireEvent | null {
  const value = parseObject(text);
  if (value === null || typeof value['batchId'] !== 'string') return null;
  if (value['type'] === 'line-delta') return isLineDelta(value['delta']) ? (value as unknown as QuireEvent) : null;
  return eventTypes.includes(String(value['type'])) ? (value as unknown as QuireEvent) : null;
}

const eventTypes: readonly string[] = [
  'unit-segment',
  'unit-end',
  'batch-change',
  'batch-cancel',
  'batch-pause',
] satisfies QuireEvent['type'][];

/** null for what is no progress. */
export function parseProgress(text: string): UnitProgress | null {
  const value = parseObject(text);
  if (value === null || typeof value['unitId'] !== 'string' || typeof value['atMs'] !== 'number') return null;
  return value as unknown as UnitProgress;
}

type Fields = Readonly<Record<string, unknown>>;

/** null for what is no JSON object. */
export function parseObject(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string';

function isLineDelta(value: unknown): value is LineDelta {
  if (!isObject(value)) return false;
  const { choice, completionTokens, reasoning, content, toolCalls, logprobs } = value;
  return (
    isPlace(choice) &&
    isPlace(completionTokens) &&
    isPiece(reasoning) &&
    isPiece(content) &&
    Array.isArray(toolCalls) &&
    toolCalls.every(isCallPiece) &&
    (logprobs === null || (isObject(logprobs) && isPlace(logprobs['at']) && isObjects(logprobs['tokens'])))
  );
}

const isPiece = (value: unknown): value is TextPiece =>
  isObject(value) && isPlace(value['at']) && typeof value['text'] === 'string';

const isCallPiece = (value: unknown): value is ToolCallPiece =>
  isObject(value) &&
  isPlace(value['index']) &&
  isTextOrNull(value['id']) &&
  isTextOrNull(value['name']) &&
  isPiece(value['arguments']);

const isObjects = (value: unknown): boolean => Array.isArray(value) && value.every(isObject);
