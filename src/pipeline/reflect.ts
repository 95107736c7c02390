import type { GenerateRequest } from '../engine/index.ts';
import { reflectionSeed } from './derived-seed.ts';
import { type Generation, joinEfforts } from './generation.ts';
import { tryFurther } from './optional-turn.ts';
import { plainMessage } from './plain-message.ts';
import { reflectionTurn } from './prompts/reflection.prompt.ts';
import type { ToolAnswer } from './run-tool-loop.ts';

/** A draft that was checked. */
export interface Reflection {
  /** As the model wrote it. */
  readonly draft: string;
  /** False: the check gave no whole answer, so the draft stands. */
  readonly isWhole: boolean;
}

export interface ReflectedAnswer extends ToolAnswer {
  /** Null: the draft was cut or still calling tools, so there was nothing to check. */
  readonly reflection: Reflection | null;
}

/**
 * Has the model check its draft once and answer again, in the same conversation. Tokens and tool calls count over both.
 * @param format of the answer: the draft's, with the word that something was corrected
 * @param run asks the model, with the tools and the calls that are left
 * @throws as `run`, where the line is worth another try
 */
export async function reflectOn(
  draft: ToolAnswer,
  request: GenerateRequest,
  format: GenerateRequest['format'],
  run: (request: GenerateRequest) => Promise<ToolAnswer>,
  signal: AbortSignal,
): Promise<ReflectedAnswer> {
  const check = buildCheck(draft, request, format);
  if (check === null) return { ...draft, reflection: null };
  const content = draft.generation.result.content;
  const second = await tryFurther(() => run(check), signal);
  if (second === null) return { ...draft, reflection: { draft: content, isWhole: false } };
  const { finishReason, schemaError } = second.generation.result;
  const isWhole = finishReason === 'stop' && schemaError === null;
  return {
    generation: joinGenerations(draft.generation, second.generation, isWhole),
    uses: [...draft.uses, ...second.uses],
    messages: second.messages,
    reflection: { draft: content, isWhole },
  };
}

/** null when there is no whole draft, or nothing left to check it with. */
function buildCheck(
  { generation, messages }: ToolAnswer,
  request: GenerateRequest,
  format: GenerateRequest['format'],
): GenerateRequest | null {
  const { content, finishReason } = generation.result;
  if (finishReason !== 'stop') return null;
  const { maxTokens, thinkingBudget, sampling } = request;
  const left = maxTokens === null ? null : maxTokens - countWritten(generation);
  if (left !== null && left <= 0) return null;
  return {
    ...request,
    id: `${request.id}/reflection`,
    messages: [...messages, plainMessage('assistant', content), plainMessage('user', reflectionTurn)],
    maxTokens: left,
    thinkingBudget: thinkingBudget === null || left === null ? thinkingBudget : Math.min(thinkingBudget, left >> 1),
    sampling: { ...sampling, seed: reflectionSeed(sampling.seed) },
    format,
    resume: null,
  };
}

function countWritten({ earlier, result, repair }: Generation): number {
  const results = [...earlier, result, ...(repair === null ? [] : [repair.result])];
  return results.reduce((total, { completionTokens }) => total + completionTokens, 0);
}

/** One answer with what both cost. A check that came to nothing leaves the draft's words. */
function joinGenerations(draft: Generation, check: Generation, isWhole: boolean): Generation {
  const { content, logprobs, schemaError, finishReason } = (isWhole ? check : draft).result;
  const reasoning = [draft.result.reasoning, check.result.reasoning].filter((thought) => thought !== '').join('\n');
  return {
    result: { ...check.result, content, logprobs, schemaError, finishReason, reasoning },
    earlier: [
      ...draft.earlier,
      draft.result,
      ...(check.repair === null || draft.repair === null ? [] : [draft.repair.result]),
      ...check.earlier,
    ],
    repair: check.repair ?? draft.repair,
    effort: joinEfforts([draft.effort, check.effort]),
  };
}
