import { AppError } from '../../base/errors.ts';
import type { SamplingOptions } from '../messages.ts';

interface Range {
  readonly param: string;
  readonly allowed: string;
  readonly fits: (value: number) => boolean;
}

const within = (low: number, high: number) => (value: number) => value >= low && value <= high;

/** Parameters by the names of the HTTP API. Penalties and biases stay where float32 logits cannot overflow. */
const ranges: Readonly<Record<Exclude<keyof SamplingOptions, 'logitBias'>, Range>> = {
  temperature: {
    param: 'temperature',
    allowed: 'a number from 0',
    fits: (value) => value >= 0 && Number.isFinite(value),
  },
  topP: { param: 'top_p', allowed: 'above 0, up to 1', fits: (value) => value > 0 && value <= 1 },
  topK: {
    param: 'top_k',
    allowed: 'a whole number from 0, which means all',
    fits: (value) => value >= 0 && Number.isSafeInteger(value),
  },
  minP: { param: 'min_p', allowed: 'from 0, below 1', fits: (value) => value >= 0 && value < 1 },
  presencePenalty: { param: 'presence_penalty', allowed: '-2 to 2', fits: within(-2, 2) },
  frequencyPenalty: { param: 'frequency_penalty', allowed: '-2 to 2', fits: within(-2, 2) },
  repetitionPenalty: { param: 'repetition_penalty', allowed: '0.1 to 10', fits: within(0.1, 10) },
  seed: { param: 'seed', allowed: 'a whole number within ±(2^53 - 1)', fits: Number.isSafeInteger },
};

const isBias = within(-100, 100);

/**
 * @param vocabularySize ids of `logitBias` lie below it
 * @throws `input.invalid-request` with `param`
 */
export function checkSamplingOptions(options: SamplingOptions, vocabularySize: number): void {
  for (const [name, { param, allowed, fits }] of Object.entries(ranges)) {
    const met = options[name as keyof typeof ranges];
    if (!fits(met)) refuse(param, `${param} is ${met}, allowed: ${allowed}`);
  }
  for (const [id, bias] of options.logitBias ?? []) {
    const isToken = Number.isSafeInteger(id) && id >= 0 && id < vocabularySize;
    if (!isToken) refuse('logit_bias', `logit_bias names token ${id}, allowed: 0 to ${vocabularySize - 1}`);
    if (!isBias(bias)) refuse('logit_bias', `logit_bias of token ${id} is ${bias}, allowed: -100 to 100`);
  }
}

function refuse(param: string, message: string): never {
  throw new AppError('input.invalid-request', message, { param });
}
