import { AppError } from '../base/errors.ts';
import { type Body, invalid, isAbsent, isPlainObject, readText, refuseUnknown, show } from './request-fields.ts';

const maxTools = 128;
const toolFields = new Set(['type', 'function']);
const functionFields = new Set(['name', 'description', 'parameters', 'strict']);
/** As OpenAI allows; the model writes calls as `functions.<name>:<index>`, so a dot or colon would be ambiguous. */
const toolName = /^[a-zA-Z0-9_-]{1,64}$/;

/** `tools` as the prompt declares them; null when there are none or `tool_choice` forbids their use. */
export function parseTools(body: Body): readonly Body[] | null {
  const { tools, tool_choice: choice } = body as { tools?: unknown; tool_choice?: unknown };
  if (!isAbsent(choice) && choice !== 'auto' && choice !== 'none') {
    const message = `tool_choice is ${show(choice)}; only "auto" and "none" are supported`;
    throw new AppError('input.unsupported', message, { param: 'tool_choice' });
  }
  if (isAbsent(tools)) return null;
  if (!Array.isArray(tools) || tools.length > maxTools) {
    throw invalid('tools', `tools is ${show(tools)}; it must be an array of at most ${maxTools} tools`);
  }
  const parsed = tools.map((tool: unknown, index) => parseTool(tool, `tools[${index}]`));
  const names = new Set(parsed.map(({ name }) => name));
  if (names.size < parsed.length) throw invalid('tools', 'tools declares a function name twice; names must be unique');
  return parsed.length === 0 || choice === 'none' ? null : parsed.map(({ tool }) => tool);
}

function parseTool(tool: unknown, path: string): { readonly name: string; readonly tool: Body } {
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
