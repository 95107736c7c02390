import { canonicalJson } from '../../base/canonical-json.ts';
import type { JsonSchema, SchemaObject } from './json-schema.ts';

type Combine = (a: unknown, b: unknown) => unknown;

/** Both must hold. */
const both: Combine = (a, b) => ({ allOf: [a, b] });
const larger: Combine = (a, b) => Math.max(Number(a), Number(b));
const smaller: Combine = (a, b) => Math.min(Number(a), Number(b));

const combiners: Readonly<Record<string, Combine>> = {
  minimum: larger,
  exclusiveMinimum: larger,
  minLength: larger,
  minItems: larger,
  minProperties: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  maxLength: smaller,
  maxItems: smaller,
  maxProperties: smaller,
  required: (a, b) => [...new Set([...(a as string[]), ...(b as string[])])],
  type: intersectTypes,
  enum: (a, b) => (a as unknown[]).filter((value) => includesJson(b as unknown[], value)),
  items: both,
  propertyNames: both,
  additionalProperties: (a, b) => (a === false || b === false ? false : both(a, b)),
  prefixItems: (a, b) => mergeTuples(a as JsonSchema[], b as JsonSchema[]),
  properties: (a, b) => mergeProperties(a as SchemaObject, b as SchemaObject),
  patternProperties: (a, b) => mergeProperties(a as SchemaObject, b as SchemaObject),
  anyOf: distribute,
  oneOf: distribute,
};

/**
 * One schema that accepts what both accept, as far as the grammar follows keywords; of two values of any other keyword
 * the second stays. Where one side is closed, properties of the other side alone are dropped, as they could not occur.
 */
export function mergeSchemas(a: SchemaObject, b: SchemaObject): SchemaObject {
  const merged: Record<string, unknown> = { ...constAsEnum(a) };
  for (const [keyword, value] of Object.entries(constAsEnum(b))) {
    const combine = combiners[keyword];
    const known = Object.hasOwn(merged, keyword) && combine !== undefined;
    merged[keyword] = known ? combine(merged[keyword], value) : value;
  }
  for (const side of [a, b]) {
    if (side['additionalProperties'] === false) {
      const allowed = Object.keys((side['properties'] ?? {}) as SchemaObject);
      const entries = Object.entries((merged['properties'] ?? {}) as SchemaObject);
      merged['properties'] = Object.fromEntries(entries.filter(([name]) => allowed.includes(name)));
    }
  }
  return merged;
}

function constAsEnum(schema: SchemaObject): SchemaObject {
  if (!Object.hasOwn(schema, 'const')) return schema;
  const { const: value, ...rest } = schema;
  const listed = rest['enum'];
  return { ...rest, enum: Array.isArray(listed) && !includesJson(listed, value) ? [] : [value] };
}

function includesJson(values: readonly unknown[], wanted: unknown): boolean {
  const text = canonicalJson(wanted);
  return values.some((value) => canonicalJson(value) === text);
}

/** `number` includes `integer`. */
function intersectTypes(a: unknown, b: unknown): readonly string[] {
  const [left, right] = [[a].flat() as string[], [b].flat() as string[]];
  const accepts = (types: readonly string[], type: string): boolean =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  return [...new Set([...left.filter((type) => accepts(right, type)), ...right.filter((type) => accepts(left, type))])];
}

function mergeTuples(a: readonly JsonSchema[], b: readonly JsonSchema[]): readonly unknown[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) => both(a[index] ?? true, b[index] ?? true));
}

function mergeProperties(a: SchemaObject, b: SchemaObject): SchemaObject {
  const merged: Record<string, unknown> = { ...a };
  for (const [name, schema] of Object.entries(b)) {
    merged[name] = Object.hasOwn(a, name) ? both(a[name], schema) : schema;
  }
  return merged;
}

function distribute(a: unknown, b: unknown): readonly unknown[] {
  return (a as unknown[]).flatMap((left) => (b as unknown[]).map((right) => both(left, right)));
}
