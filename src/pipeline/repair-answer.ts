import type { GenerateRequest, GenerateResult } from '../engine/index.ts';
import { repairSeed } from './derived-seed.ts';
import { type Generation, joinEfforts } from './generation.ts';
import { tryFurther } from './optional-turn.ts';
import { plainMessage } from './plain-message.ts';
import type { Generate } from './ports.ts';
import { buildRepairTurn } from './prompts/repair.prompt.ts';
import { type GenerationOptions, generateToEnd } from './run-to-end.ts';

/**
 * Runs a request, and once more when its answer is complete but breaks a part of its schema that decoding does not
 * enforce. An answer that stays broken stays as it was, with its `schemaError`.
 * @throws what `generateToEnd` throws of the first request; of the second only what is worth trying the line again
 */
export async function generateSound(
  generate: Generate,
  request: GenerateRequest,
  options: GenerationOptions,
): Promise<Generation> {
  const first = await generateToEnd(generate, request, options);
  const repairRequest = buildRepairRequest(request, first.result);
  if (repairRequest === null) return first;
  const second = await tryFurther(() => generateToEnd(generate, repairRequest, options), options.signal);
  if (second === null) return first;
  const { result } = second;
  const isMended = result.schemaError === null && result.finishReason === 'stop';
  const { content, logprobs } = result;
  return {
    // the thought that led to the answer is the first one; the second request may not think
    result: isMended ? { ...first.result, content, logprobs, schemaError: null } : first.result,
    earlier: first.earlier,
    repair: { result, isMended },
    effort: joinEfforts([first.effort, second.effort]),
  };
}

/** null when there is nothing to mend, or no mending: a cut answer is not wrong, and what was streamed is out. */
function buildRepairRequest(request: GenerateRequest, result: GenerateResult): GenerateRequest | null {
  if (result.schemaError === null || result.finishReason !== 'stop' || request.stream) return null;
  return {
    ...request,
    id: `${request.id}/repair`,
    messages: [
      ...request.messages,
      plainMessage('assistant', result.content),
      plainMessage('user', buildRepairTurn(result.schemaError)),
    ],
    toolChoice: { type: 'auto' },
    sharedMessages: request.messages.length,
    sampling: { ...request.sampling, seed: repairSeed(request.sampling.seed) },
    thinkingBudget: 0,
    resume: null,
  };
}
