import { Type } from 'typebox';

/** OpenAI's list of embeddings; an embedding is an array of numbers, or base64 of float32. */
export const embeddingListSchema = Type.Object(
  {
    object: Type.Literal('list'),
    data: Type.Array(Type.Object({}, { additionalProperties: true })),
    model: Type.String(),
    usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
  },
  { additionalProperties: true },
);
