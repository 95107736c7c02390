import { isFamily, toAppError } from '../../base/errors.ts';
import type { Document } from '../document/document.ts';
import { buildCalculate } from './calculate.ts';
import { buildReadPages } from './read-pages.ts';
import { buildSearchDocument } from './search-document.ts';
import { type JsonSchema, refuse, show, type Tool, type ToolArguments, type ToolDeclaration } from './tool.ts';

/** The tools of one request, over its documents. */
export interface ToolRegistry {
  /** OpenAI tool declarations in a fixed order. */
  readonly declarations: readonly ToolDeclaration[];
  /** What arguments are held to while they are written, by the name of the tool. */
  readonly argumentSchemas: Readonly<Record<string, JsonSchema>>;
  /**
   * Runs one call. What the call itself got wrong comes back as a line that starts `error:`, never as an exception.
   * @param argumentsJson as the model wrote it
   */
  call(name: string, argumentsJson: string): string;
}

/** Tools that only read the request's documents, or nothing at all. */
export function buildDocumentTools(documents: readonly Document[]): readonly Tool[] {
  return [buildSearchDocument(documents), buildReadPages(documents), buildCalculate()];
}

export function buildToolRegistry(tools: readonly Tool[]): ToolRegistry {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  return {
    declarations: tools.map(({ declaration }) => declaration),
    argumentSchemas: Object.fromEntries(tools.map(({ name, argumentSchema }) => [name, argumentSchema])),
    call: (name, argumentsJson) => {
      try {
        const tool = findTool(byName, name);
        return tool.run(parseArguments(tool, argumentsJson));
      } catch (error) {
        if (!isFamily(error, 'input')) throw error;
        return `error: ${toAppError(error).message.replace(/\s+/g, ' ')}`;
      }
    },
  };
}

function findTool(byName: ReadonlyMap<string, Tool>, name: string): Tool {
  const tool = byName.get(name);
  if (tool === undefined) throw refuse(`there is no tool ${show(name)}; call one of ${[...byName.keys()].join(', ')}`);
  return tool;
}

function parseArguments(tool: Tool, argumentsJson: string): ToolArguments {
  let value: unknown;
  try {
    value = JSON.parse(argumentsJson);
  } catch {
    throw refuse(`arguments ${show(argumentsJson)} are not JSON; give one JSON object`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse(`arguments are ${show(value)}; give one JSON object`);
  }
  const allowed = Object.keys(tool.declaration.function.parameters.properties);
  const unknown = Object.keys(value).find((name) => !allowed.includes(name));
  if (unknown !== undefined) throw refuse(`unknown argument ${show(unknown)}; allowed: ${allowed.join(', ')}`);
  return value as ToolArguments;
}
