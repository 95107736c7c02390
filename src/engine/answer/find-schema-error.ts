import type { AnswerFormat, GeneratedToolCall, GenerateResult } from '../messages.ts';
import { type SchemaObject, validateJson } from '../structured/json-schema.ts';
import type { ToolPlan } from './tool-plan.ts';

/** What is checked: the calls of an answer that called tools, otherwise its content. */
export interface FinishedAnswer {
  readonly content: string;
  readonly toolCalls: readonly GeneratedToolCall[];
  readonly finishReason: GenerateResult['finishReason'];
  readonly hasSection: boolean;
  /** A form that was asked for is complete. */
  readonly isWhole: boolean;
}

/**
 * What of the caller's schemas an answer breaks: keywords that decoding does not follow, such as `not` and
 * `uniqueItems`, are for the finished answer; one that was cut off breaks everything. Null: nothing.
 */
export function findSchemaError(answer: FinishedAnswer, format: AnswerFormat, plan: ToolPlan | null): string | null {
  const { content, toolCalls, finishReason, hasSection, isWhole } = answer;
  const hasForm = hasSection || plan?.isRequired === true || format.type === 'json-schema';
  if (finishReason === 'length' && hasForm && !isWhole) return 'the answer was cut off at its token limit';
  if (!hasSection) return format.type === 'json-schema' ? validateText(format.schema, content) : null;
  for (const { id, name, arguments: text } of toolCalls) {
    const schema = plan?.tools.find((tool) => tool.name === name)?.schema;
    const error = schema === undefined ? null : validateText(schema, text);
    if (error !== null) return `arguments of ${id}: ${error}`;
  }
  return null;
}

function validateText(schema: SchemaObject, text: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `not JSON: ${(error as Error).message}`;
  }
  return validateJson(schema, value);
}
