import type { TokenChance, TokenLogprob } from '../engine/index.ts';

/** A probability of zero: JSON has no -Infinity, and this is what OpenAI writes in its place. */
const impossible = -9_999;

/** OpenAI's `choices[].logprobs`. */
export function presentLogprobs(tokens: readonly TokenLogprob[]): Record<string, unknown> {
  return { content: tokens.map(presentTokenLogprob), refusal: null };
}

export function presentTokenLogprob(token: TokenLogprob): Record<string, unknown> {
  return { ...presentChance(token), top_logprobs: token.top.map(presentChance) };
}

/** A token that ends within a character reads as U+FFFD; its `bytes` joined to its neighbours' are the character. */
function presentChance({ bytes, logprob }: TokenChance): Record<string, unknown> {
  return {
    token: Buffer.from(bytes).toString('utf8'),
    // on its way from the engine an infinity becomes null, as JSON has it
    logprob: Number.isFinite(logprob) ? Math.max(impossible, logprob) : impossible,
    bytes: [...bytes],
  };
}
