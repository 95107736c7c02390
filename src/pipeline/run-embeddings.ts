import { AppError } from '../base/errors.ts';
import type { EmbeddingsRequest } from '../batch/index.ts';
import type { EmbedRequest, EmbedResult, ModelCard } from '../engine/index.ts';
import type { Effort } from './generation.ts';
import type { LineContext } from './run-chat.ts';
import { presentNotice } from './wire.ts';

export function buildEmbedRequest(
  { name, priority, deadlineMs }: LineContext,
  { inputs }: EmbeddingsRequest,
): EmbedRequest {
  return { id: name, inputs, priority, deadlineMs };
}

/** OpenAI's list of embeddings, in the order of the inputs. @throws `bug.invariant` when one is missing or misshapen */
export function presentEmbeddings(
  request: EmbeddingsRequest,
  { vectors, width, promptTokens }: EmbedResult,
  effort: Effort,
  card: ModelCard,
): Record<string, unknown> {
  if (vectors.length !== request.inputs.length) {
    throw new AppError(
      'bug.invariant',
      `the engine gave ${vectors.length} vectors for ${request.inputs.length} inputs`,
    );
  }
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: request.encoding === 'base64' ? vector : decodeVector(vector, width),
    })),
    model: card.id,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    ext: { attempts: effort.attempts, ...presentNotice(card) },
  };
}

const floatBytes = 4;
/** Enough to give back every float32 exactly, and half as long as the float64 that it is widened to. */
const floatDigits = 9;

/** base64 of little-endian float32 → numbers. */
function decodeVector(base64: string, width: number): number[] {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== width * floatBytes) {
    throw new AppError('bug.invariant', `an embedding has ${bytes.length} bytes, not ${width} values of ${floatBytes}`);
  }
  return Array.from({ length: width }, (_, index) =>
    Number(bytes.readFloatLE(index * floatBytes).toPrecision(floatDigits)),
  );
}
