import { AppError } from '../base/errors.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** An empty value counts as absent, as shells write it. */
export function readText(variables: Variables, name: string, fallback: string): string {
  const value = variables[name];
  return value === undefined || value === '' ? fallback : value;
}

/** @throws `input.config` when the value is no integer within the bounds */
export function readInteger(
  variables: Variables,
  name: string,
  bounds: { readonly fallback: number; readonly min: number; readonly max: number },
): number {
  const text = variables[name];
  if (text === undefined || text === '') return bounds.fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= bounds.min && value <= bounds.max) return value;
  throw new AppError(
    'input.config',
    `${name} must be an integer from ${bounds.min} to ${bounds.max}, not ${JSON.stringify(text)}`,
  );
}

/** @throws `input.config` when the value is none of those allowed */
export function readOneOf<Value extends string>(
  variables: Variables,
  name: string,
  allowed: readonly Value[],
  fallback: Value,
): Value {
  const text = variables[name];
  if (text === undefined || text === '') return fallback;
  const value = allowed.find((candidate) => candidate === text);
  if (value !== undefined) return value;
  throw new AppError('input.config', `${name} must be one of ${allowed.join(', ')}, not ${JSON.stringify(text)}`);
}

/** @throws `input.config` for anything but `true` and `false` */
export function readFlag(variables: Variables, name: string, fallback: boolean): boolean {
  return readOneOf(variables, name, ['true', 'false'] as const, fallback ? 'true' : 'false') === 'true';
}
