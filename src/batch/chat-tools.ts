import { AppError } from '../base/errors.ts';
import type { ToolChoice } from '../engine/index.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readBoolean,
  readText,
  refuseUnknown,
  show,
} from './request-fields.ts';

const maxTools = 128;
const toolFields = new Set(['type', 'function']);
const functionFields = new Set(['name', 'description', 'parameters', 'strict']);
/** As OpenAI allows; the model writes calls as `functions.<name>:<index>`, so a dot or colon would be ambiguous. */
const toolName = /^[a-zA-Z0-9_-]{1,64}$/;

export interface ToolRules {
  /** As the prompt declares them; null when there are none or `tool_choice` forbids their use. */
  readonly tools: readonly Body[] | null;
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
}

/** `tools`, `tool_choice`, `parallel_tool_calls`. @throws `input.invalid-request`, `input.unsupported`, `input.unknown-field` */
export function parseTools(body: Body): ToolRules {
  const declared = parseDeclarations(body['tools']);
  const choice = parseChoice(
    body['tool_choice'],
    declared.map(({ name }) => name),
  );
  return {
    tools: declared.length === 0 || choice === 'none' ? null : declared.map(({ tool }) => tool),
    toolChoice: choice === 'none' ? { type: 'auto' } : choice,
    parallelToolCalls: readBoolean(body, 'parallel_tool_calls') ?? true,
  };
}

interface Declaration {
  readonly name: string;
  readonly tool: Body;
}

function parseDeclarations(tools: unknown): readonly Declaration[] {
  if (isAbsent(tools)) return [];
  if (!Array.isArray(tools) || tools.length > maxTools) {
    throw invalid('tools', `tools is ${show(tools)}; it must be an array of at most ${maxTools} tools`);
  }
  const declared = tools.map((tool: unknown, index) => parseTool(tool, `tools[${index}]`));
  const names = new Set(declared.map(({ name }) => name));
  if (names.size < declared.length)
    throw invalid('tools', 'tools declares a function name twice; names must be unique');
  return declared;
}

const choiceFields = new Set(['type', 'function']);
const chosenFields = new Set(['name']);
/** More names than these are not listed in a refusal. */
const listedNames = 8;

function parseChoice(choice: unknown, names: readonly string[]): ToolChoice | 'none' {
  if (isAbsent(choice) || choice === 'auto') return { type: 'auto' };
  if (choice === 'none') return 'none';
  if (choice === 'required') {
    requireTools('tool_choice is "required"', names);
    return { type: 'required' };
  }
  if (!isPlainObject(choice)) {
    const allowed = 'none, auto, required, or an object that names a function';
    throw invalid('tool_choice', `tool_choice is ${show(choice)}; it must be one of ${allowed}`);
  }
  if (choice['type'] !== 'function') {
    const message = `tool_choice.type is ${show(choice['type'])}; only "function" is supported`;
    throw new AppError('input.unsupported', message, { param: 'tool_choice.type' });
  }
  refuseUnknown(choice, choiceFields, 'tool_choice.');
  const chosen = choice['function'];
  if (!isPlainObject(chosen)) {
    throw invalid('tool_choice.function', `tool_choice.function is ${show(chosen)}; it must be an object with a name`);
  }
  refuseUnknown(chosen, chosenFields, 'tool_choice.function.');
  const path = 'tool_choice.function.name';
  const name = readText(chosen, 'name', path);
  requireTools(`${path} is ${show(name)}`, names);
  if (names.includes(name)) return { type: 'function', name };
  const more = names.length > listedNames ? ` and ${names.length - listedNames} more` : '';
  const known = `${names.slice(0, listedNames).join(', ')}${more}`;
  throw invalid(path, `${path} is ${show(name)}; it must be a declared tool: ${known}`);
}

function requireTools(met: string, names: readonly string[]): void {
  if (names.length > 0) return;
  throw invalid('tool_choice', `${met} but tools declares none; declare tools or leave tool_choice out`);
}

function parseTool(tool: unknown, path: string): Declaration {
  if (!isPlainObject(tool)) throw invalid(path, `${path} is ${show(tool)}; it must be an object`);
  if (tool['type'] !== 'function') {
    const message = `${path}.type is ${show(tool['type'])}; only functions are supported`;
    throw new AppError('input.unsupported', message, { param: `${path}.type` });
  }
  refuseUnknown(tool, toolFields, `${path}.`);
  const declared = tool['function'];
  if (!isPlainObject(declared)) {
    throw invalid(`${path}.function`, `${path}.function is ${show(declared)}; it must be an object`);
  }
  refuseUnknown(declared, functionFields, `${path}.function.`);
  const name = readText(declared, 'name', `${path}.function.name`);
  if (!toolName.test(name)) {
    const message = `${path}.function.name is ${show(name)}; it must be 1 to 64 letters, digits, - or _`;
    throw invalid(`${path}.function.name`, message);
  }
  const { description, parameters } = declared as { description?: unknown; parameters?: unknown };
  if (!isAbsent(description) && typeof description !== 'string') {
    const at = `${path}.function.description`;
    throw invalid(at, `${at} is ${show(description)}; it must be a string`);
  }
  if (!isAbsent(parameters) && !isPlainObject(parameters)) {
    const at = `${path}.function.parameters`;
    throw invalid(at, `${at} is ${show(parameters)}; it must be a JSON schema object`);
  }
  return { name, tool };
}
