import { AppError, isAppError } from '../../base/errors.ts';
import type { GenerateRequest } from '../messages.ts';
import type { GrammarCompiler } from '../ports.ts';
import type { SpecialTokens } from '../special-tokens.ts';
import type { SchemaObject } from '../structured/json-schema.ts';
import type { ToolMarkers } from '../tokenizer/tool-markers.ts';

export interface PlannedTool {
  readonly name: string;
  /** Of the arguments. */
  readonly schema: SchemaObject;
}

/** What calls an answer may or must hold. */
export interface ToolPlan {
  readonly markers: ToolMarkers;
  /** Those that may be called. */
  readonly tools: readonly PlannedTool[];
  /** The answer is a section of calls. */
  readonly isRequired: boolean;
  readonly isParallel: boolean;
  /** Number of the answer's first call: calls are counted over the whole conversation. */
  readonly firstIndex: number;
}

/**
 * Null: no tools are declared. The grammars of their arguments are compiled, so that none fails later.
 * @throws `input.invalid-request`, `input.unsupported`, `input.schema`, all with `param`
 */
export function planTools(
  request: GenerateRequest,
  special: SpecialTokens,
  grammars: GrammarCompiler,
): ToolPlan | null {
  const { tools, argumentSchemas, toolChoice, messages } = request;
  if (tools === null || tools.length === 0) {
    if (toolChoice.type === 'auto') return null;
    throw invalid('tool_choice', `tool_choice is ${toolChoice.type}, but no tools are declared`);
  }
  const markers = special.toolMarkers;
  if (markers === null) {
    throw new AppError('input.unsupported', 'tools are declared, but the model has no tokens for tool calls', {
      param: 'tools',
    });
  }
  const narrower = new Map(Object.entries(argumentSchemas ?? {}));
  const declared = tools.map(readTool).map(({ name, schema }) => ({ name, schema: narrower.get(name) ?? schema }));
  const names = declared.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw invalid('tools', `tools declares ${twice} twice, allowed: once`);
  const chosen = toolChoice.type === 'function' ? declared.filter(({ name }) => name === toolChoice.name) : declared;
  if (toolChoice.type === 'function' && chosen.length === 0) {
    throw invalid('tool_choice', `tool_choice is ${toolChoice.name}, allowed: ${names.join(', ')}`);
  }
  for (const tool of chosen) tryCompile(tool, names.indexOf(tool.name), grammars);
  return {
    markers,
    tools: chosen,
    isRequired: toolChoice.type !== 'auto',
    isParallel: request.parallelToolCalls,
    firstIndex: messages.reduce((total, { toolCalls }) => total + (toolCalls?.length ?? 0), 0),
  };
}

function readTool(tool: Readonly<Record<string, unknown>>, index: number): PlannedTool {
  const declared = tool['function'];
  if (!isObject(declared)) throw invalid(`tools[${index}].function`, `tools[${index}].function must be an object`);
  const { name, parameters } = declared;
  const path = `tools[${index}].function`;
  if (typeof name !== 'string' || name === '') throw invalid(`${path}.name`, `${path}.name must be a non-empty text`);
  if (parameters === undefined || parameters === null) return { name, schema: { type: 'object' } };
  if (!isObject(parameters)) throw invalid(`${path}.parameters`, `${path}.parameters must be a JSON schema object`);
  // arguments are an object, also where a schema leaves that open
  return { name, schema: Object.hasOwn(parameters, 'type') ? parameters : { ...parameters, type: 'object' } };
}

function tryCompile({ name, schema }: PlannedTool, index: number, grammars: GrammarCompiler): void {
  try {
    grammars.compile({ type: 'json-schema', schema });
  } catch (error) {
    if (!isAppError(error) || error.code !== 'input.schema') throw error;
    const param = `tools[${index}].function.parameters`;
    throw new AppError('input.schema', `parameters of tool ${name}: ${error.message}`, { param, cause: error });
  }
}

function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(param: string, message: string): AppError {
  return new AppError('input.invalid-request', message, { param });
}
