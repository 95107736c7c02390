import { AppError } from '../../base/errors.ts';

/** Arguments as the model wrote them, already known to be a JSON object. */
export type ToolArguments = Readonly<Record<string, unknown>>;

/** Something a model may call while it answers. Pure: the same arguments give the same text. */
export interface Tool {
  readonly name: string;
  /** As the prompt declares it, in OpenAI's form. Part of the prefix, so it must not vary between questions. */
  readonly declaration: ToolDeclaration;
  /** The declared parameters, with the bounds that these documents give them: what can be ruled out before it is written. */
  readonly argumentSchema: JsonSchema;
  /** @throws `input.invalid-request` whose message tells the model what to do */
  run(args: ToolArguments): string;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

/** A type, not an interface, so that it is also a plain record, as requests carry it. */
export type ToolDeclaration = {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description: string;
    readonly parameters: {
      readonly type: 'object';
      readonly properties: Readonly<Record<string, JsonSchema>>;
      readonly required: readonly string[];
      readonly additionalProperties: false;
    };
  };
};

export function declareTool(
  name: string,
  description: string,
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[],
): ToolDeclaration {
  return {
    type: 'function',
    function: { name, description, parameters: { type: 'object', properties, required, additionalProperties: false } },
  };
}

/** The declared parameters with further keywords for some of them. */
export function boundArguments(
  { function: { parameters } }: ToolDeclaration,
  bounds: Readonly<Record<string, JsonSchema>>,
): JsonSchema {
  const properties = Object.entries(parameters.properties).map(([name, one]) => [name, { ...one, ...bounds[name] }]);
  return { ...parameters, properties: Object.fromEntries(properties) };
}

/** A refusal of arguments: the registry hands its message to the model. */
export function refuse(message: string): AppError {
  return new AppError('input.invalid-request', message);
}

const shownChars = 80;

/** A value in a refusal: JSON on one line, cut when long. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > shownChars ? `${text.slice(0, shownChars)}…` : text;
}

/** @throws `input.invalid-request` unless it is text with more than white space, of at most `maxChars` */
export function readTextArgument(args: ToolArguments, name: string, maxChars: number): string {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (typeof value !== 'string' || value.trim() === '') throw refuse(`${name} is ${show(value)}; give text`);
  if (value.length > maxChars) {
    throw refuse(`${name} has ${value.length} characters; at most ${maxChars} are allowed`);
  }
  return value;
}

/** @returns undefined when left out or null. @throws `input.invalid-request` unless a whole number in [least, most] */
export function readIntegerArgument(
  args: ToolArguments,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const value = Object.hasOwn(args, name) ? args[name] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    const allowed = least === most ? `only ${least} is allowed` : `give a whole number from ${least} to ${most}`;
    throw refuse(`${name} is ${show(value)}; ${allowed}`);
  }
  return value;
}

/** The same for an argument that must be there. */
export function requireIntegerArgument(args: ToolArguments, name: string, least: number, most: number): number {
  const value = readIntegerArgument(args, name, least, most);
  if (value === undefined) throw refuse(`${name} is missing; give a whole number from ${least} to ${most}`);
  return value;
}
