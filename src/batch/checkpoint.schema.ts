import { type Static, Type } from 'typebox';

/**
 * A checkpoint as stored, version 1: one JSON object, named by the sha256 of its bytes. It counts only when an entry of
 * its unit's log names it.
 */
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

const tokenChance = {
  id: count,
  bytes: Type.Array(Type.Integer({ minimum: 0, maximum: 255 })),
  logprob: Type.Number(),
};
const logprobs = nullable(Type.Array(Type.Object({ ...tokenChance, top: Type.Array(Type.Object(tokenChance)) })));
const cacheMiss = nullable(Type.Enum(['first_of_group', 'below_minimum', 'evicted'] as const));
const resumed = nullable(Type.Enum(['exact', 'tokens'] as const));

const generateCheckpoint = Type.Object({
  version: Type.Literal(1),
  engineDigest: Type.String(),
  promptDigest: Type.String(),
  tokenIds: Type.Array(count),
  draws: count,
  logprobs,
  isLed: Type.Optional(Type.Boolean()),
  cachedTokens: count,
  cacheMiss,
  pages: Type.Array(Type.String()),
});

const generateResult = Type.Object({
  reasoning: Type.String(),
  content: Type.String(),
  toolCalls: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), arguments: Type.String() })),
  finishReason: Type.Enum(['stop', 'length', 'tool_calls'] as const),
  logprobs,
  schemaError: nullable(Type.String()),
  promptTokens: count,
  cachedTokens: count,
  completionTokens: count,
  reasoningTokens: count,
  resumedTokens: count,
  resumed,
  prefillMs: Type.Number(),
  decodeMs: Type.Number(),
  queueMs: Type.Number(),
  cacheMiss,
});

const past = { retries: count, resumed: nullable(Type.Literal('tokens')), wastedTokens: count };

const requestState = Type.Union([
  Type.Object({ type: Type.Literal('running'), ...past, checkpoint: nullable(generateCheckpoint) }),
  Type.Object({ type: Type.Literal('ended'), ...past, result: generateResult }),
]);

export const unitCheckpointSchema = Type.Object({
  version: Type.Literal(1),
  batch_id: Type.String(),
  unit_id: Type.String(),
  /** Of the claim that wrote it. */
  epoch: Type.Integer({ minimum: 1 }),
  /** Lines that are begun and not finished, in the order of the input file. */
  lines: Type.Array(
    Type.Object({
      index: count,
      /** By engine request id: a line may make several, side by side or one after the other. */
      requests: Type.Record(Type.String(), requestState),
    }),
  ),
});
export type StoredUnitCheckpoint = Static<typeof unitCheckpointSchema>;
