import { AppError } from '../../base/errors.ts';
import { call, choice, empty, never, sequence, text } from './fragments.ts';
import { JsonGrammar, maxCounted } from './json-grammar.ts';
import type { JsonSchema, SchemaObject } from './json-schema.ts';
import { mergeSchemas } from './merge-schemas.ts';
import { type Fragment, Network, type Rule } from './network.ts';
import { integerGrammar, numberGrammar } from './number-grammar.ts';
import { compilePattern } from './pattern-grammar.ts';
import { findShortest } from './shortest-texts.ts';

/**
 * JSON schema → grammar of compact JSON. Everything the grammar lets through is JSON; it follows types, `enum`,
 * `const`, `properties` in their order, `required`, `items`, `prefixItems`, lengths, ranges, `pattern`, `format` of
 * dates, times and uuids, `anyOf`, `oneOf` (as `anyOf`), `allOf` and references inside the schema. It is stricter than
 * the standard where that is what callers mean: an object with properties has no others, and properties without a type
 * mean an object. It does not follow `not`, `if`, `uniqueItems`, `contains`, `multipleOf`, dependencies, and limits
 * beyond 4,096: `validateJson` checks those on the finished value.
 */
export interface CompiledNetwork {
  readonly network: Network;
  readonly root: Rule;
  /** Of each state, the fewest bytes to the end of its rule. */
  readonly shortest: Float64Array;
}

const maxStates = 400_000;
const maxDepth = 60;
/** Schemas looked at, copies through references and combinations included. */
const maxVisits = 20_000;

function schemaError(what: string): AppError {
  return new AppError('input.schema', what, { param: 'schema' });
}

/** @throws `input.schema` for a schema that nothing can satisfy, that refers outside itself, or that is too large */
export function compileSchemaGrammar(schema: JsonSchema): CompiledNetwork {
  const network = new Network(maxStates, () => schemaError(`schema needs more than ${maxStates} states`));
  const root = new SchemaCompiler(schema, network).compileRoot();
  const shortest = findShortest(network.states, network.ends);
  if (shortest[root.start] === Number.POSITIVE_INFINITY) throw schemaError('schema accepts no value of finite length');
  network.prune(shortest);
  return { network, root, shortest };
}

const formatPatterns: Readonly<Record<string, string>> = {
  date: '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$',
  time: '^([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
  'date-time':
    '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])T([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
};

const allTypes = ['string', 'number', 'boolean', 'null', 'object', 'array'];

/** Keywords that say which type is meant when `type` does not. */
const typeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'patternProperties', 'propertyNames', 'minProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'contains'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};

class SchemaCompiler {
  readonly #root: JsonSchema;
  readonly #network: Network;
  readonly #json: JsonGrammar;
  readonly #references = new Map<string, Rule>();
  #visits = 0;

  constructor(root: JsonSchema, network: Network) {
    this.#root = root;
    this.#network = network;
    this.#json = new JsonGrammar(network);
  }

  compileRoot(): Rule {
    return this.#reference('#', 0);
  }

  /**
   * @param depth nesting of schemas that are compiled in place
   * @param open references that lead here without a bracket in between: meeting one again would never end
   */
  #compile(schema: JsonSchema, depth: number, open: readonly string[] = []): Fragment {
    if (++this.#visits > maxVisits) throw schemaError(`schema has more than ${maxVisits} parts`);
    if (depth > maxDepth) throw schemaError(`schema is nested more than ${maxDepth} deep`);
    if (schema === true) return this.#json.value();
    if (schema === false) return never;
    const { $ref: reference, allOf, anyOf, oneOf, ...own } = schema;
    if (typeof reference === 'string') {
      const rest = { ...own, ...pick({ allOf, anyOf, oneOf }) };
      return this.#compileReference(reference, rest, depth, open);
    }
    if (Array.isArray(allOf)) {
      const parts = allOf as readonly JsonSchema[];
      if (parts.includes(false)) return never;
      const merged = parts
        .filter((part) => typeof part === 'object')
        .reduce((left: SchemaObject, right) => mergeSchemas(left, this.#resolve(right, open)), {
          ...own,
          ...pick({ anyOf, oneOf }),
        });
      return this.#compile(merged, depth + 1, open);
    }
    for (const [keyword, options, other] of [
      ['anyOf', anyOf, { oneOf }],
      ['oneOf', oneOf, {}],
    ] as const) {
      if (!Array.isArray(options)) continue;
      const base = { ...own, ...pick(other) };
      const branches = (options as readonly JsonSchema[]).map((branch) => {
        if (typeof branch === 'boolean') return branch ? base : branch;
        return hasConstraints(base) ? mergeSchemas(base, this.#resolve(branch, open)) : branch;
      });
      if (branches.length === 0) throw schemaError(`${keyword} has no branches`);
      return choice(branches.map((branch) => this.#compile(branch, depth + 1, open)));
    }
    return this.#compileValues(own, depth);
  }

  #compileReference(reference: string, siblings: SchemaObject, depth: number, open: readonly string[]): Fragment {
    if (open.includes(reference))
      throw schemaError(`$ref ${reference} leads back to itself without a value in between`);
    if (!hasConstraints(siblings)) return call(this.#reference(reference, depth, open));
    const target = this.#find(reference);
    if (typeof target === 'boolean') return target ? this.#compile(siblings, depth + 1, open) : never;
    return this.#compile({ allOf: [target, siblings] }, depth + 1, [...open, reference]);
  }

  /** The rule of a reference, made when first met: a schema may refer to what it is inside of. */
  #reference(reference: string, depth: number, open: readonly string[] = []): Rule {
    const known = this.#references.get(reference);
    if (known !== undefined) return known;
    const rule = this.#network.addRule();
    this.#references.set(reference, rule);
    const target = this.#find(reference);
    this.#compile(target, depth + 1, [...open, reference])(this.#network, rule.start, rule.end);
    return rule;
  }

  /** A branch that only refers becomes what it refers to, so that it can be merged. */
  #resolve(schema: JsonSchema, open: readonly string[]): SchemaObject {
    if (typeof schema === 'boolean') return schema ? {} : { enum: [] };
    const { $ref: reference, ...siblings } = schema;
    if (typeof reference !== 'string') return this.#flatten(schema, open);
    if (open.includes(reference))
      throw schemaError(`$ref ${reference} leads back to itself without a value in between`);
    return mergeSchemas(this.#resolve(this.#find(reference), [...open, reference]), siblings);
  }

  #flatten(schema: SchemaObject, open: readonly string[]): SchemaObject {
    const { allOf, ...own } = schema;
    if (!Array.isArray(allOf)) return schema;
    return (allOf as readonly JsonSchema[]).reduce(
      (left: SchemaObject, right) => mergeSchemas(left, this.#resolve(right, open)),
      own,
    );
  }

  #find(reference: string): JsonSchema {
    if (reference !== '#' && !reference.startsWith('#/')) {
      throw schemaError(`$ref is ${reference}, allowed: a pointer into the schema, as #/$defs/name`);
    }
    let target: unknown = this.#root;
    for (const part of reference.split('/').slice(1)) {
      const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      target = typeof target === 'object' && target !== null ? (target as SchemaObject)[name] : undefined;
    }
    if (typeof target !== 'boolean' && (typeof target !== 'object' || target === null)) {
      throw schemaError(`$ref ${reference} points to nothing`);
    }
    return target as JsonSchema;
  }

  #compileValues(schema: SchemaObject, depth: number): Fragment {
    const values = Object.hasOwn(schema, 'const') ? [schema['const']] : schema['enum'];
    const types = listTypes(schema);
    if (Array.isArray(values)) {
      const allowed = values.filter(
        (value) => !Object.hasOwn(schema, 'type') || types.some((type) => isOfType(value, type)),
      );
      return choice(allowed.map((value) => text(JSON.stringify(value))));
    }
    return choice(types.map((type) => this.#compileType(type, schema, depth)));
  }

  #compileType(type: string, schema: SchemaObject, depth: number): Fragment {
    switch (type) {
      case 'string':
        return this.#compileString(schema);
      case 'integer':
        return integerGrammar(readBounds(schema));
      case 'number':
        return schema['multipleOf'] === 1 ? integerGrammar(readBounds(schema)) : numberGrammar(readBounds(schema));
      case 'array':
        return this.#compileArray(schema, depth);
      case 'object':
        return this.#compileObject(schema, depth);
      default:
        return this.#json.any(type);
    }
  }

  #compileString(schema: SchemaObject): Fragment {
    const { pattern, format } = schema as { pattern?: unknown; format?: unknown };
    const source = typeof pattern === 'string' ? pattern : formatPatterns[String(format)];
    const matched = source === undefined ? undefined : compilePattern(source);
    if (matched !== undefined) return sequence(text('"'), matched, text('"'));
    return this.#json.string(readCount(schema, 'minLength') ?? 0, readCount(schema, 'maxLength'));
  }

  #compileArray(schema: SchemaObject, depth: number): Fragment {
    const { prefixItems, items = true } = schema as { prefixItems?: readonly JsonSchema[]; items?: JsonSchema };
    const min = readCount(schema, 'minItems') ?? 0;
    const max = readCount(schema, 'maxItems');
    // a rule each: an item is read at several places
    const compile = (item: JsonSchema): Fragment => call(this.#json.rule(this.#compile(item, depth + 1)));
    if (prefixItems === undefined) {
      return items === false ? emptyArray(min) : this.#json.listOf('[', compile(items), min, max, ']');
    }
    const prefix = prefixItems.map(compile);
    const rest = items === false ? null : compile(items);
    const longest = rest === null ? Math.min(max ?? prefix.length, prefix.length) : max;
    return tuple(prefix, rest, Math.min(min, maxCounted), longest !== null && longest <= maxCounted ? longest : null);
  }

  #compileObject(schema: SchemaObject, depth: number): Fragment {
    const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>;
    const required = (schema['required'] ?? []) as readonly string[];
    const additional = (schema['additionalProperties'] ?? true) as JsonSchema;
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length === 0) return this.#compileMap(schema, additional, depth);
    const members = names.map((name) => {
      const value = Object.hasOwn(properties, name) ? (properties[name] as JsonSchema) : additional;
      const fragment = sequence(text(`${JSON.stringify(name)}:`), this.#compile(value, depth + 1));
      return { fragment: call(this.#json.rule(fragment)), isRequired: required.includes(name) };
    });
    return memberList(members);
  }

  /** An object whose names are not listed. */
  #compileMap(schema: SchemaObject, additional: JsonSchema, depth: number): Fragment {
    const { patternProperties = {}, propertyNames } = schema as {
      patternProperties?: Readonly<Record<string, JsonSchema>>;
      propertyNames?: JsonSchema;
    };
    const member = (name: JsonSchema, value: JsonSchema): Fragment =>
      sequence(this.#compileName(name, depth), text(':'), this.#compile(value, depth + 1));
    const patterned = Object.entries(patternProperties).map(([pattern, value]) => member({ pattern }, value));
    const others = patterned.length > 0 || additional === false ? [] : [member(propertyNames ?? true, additional)];
    const options = [...patterned, ...others];
    const min = readCount(schema, 'minProperties') ?? 0;
    if (options.length === 0) return min > 0 ? never : text('{}');
    return this.#json.listOf('{', choice(options), min, readCount(schema, 'maxProperties'), '}');
  }

  #compileName(schema: JsonSchema, depth: number): Fragment {
    if (typeof schema === 'boolean') return schema ? this.#json.string(0, null) : never;
    return this.#compile({ allOf: [schema, { type: 'string' }] }, depth + 1);
  }
}

function pick(keywords: Readonly<Record<string, unknown>>): SchemaObject {
  return Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== undefined));
}

const annotations = new Set([
  '$schema',
  '$id',
  '$comment',
  '$defs',
  '$anchor',
  'definitions',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
]);

function hasConstraints(schema: SchemaObject): boolean {
  return Object.keys(schema).some((keyword) => !annotations.has(keyword));
}

function listTypes(schema: SchemaObject): readonly string[] {
  const { type, nullable } = schema as { type?: unknown; nullable?: unknown };
  const listed = type === undefined ? inferTypes(schema) : ((Array.isArray(type) ? type : [type]) as readonly string[]);
  return nullable === true && !listed.includes('null') ? [...listed, 'null'] : listed;
}

function inferTypes(schema: SchemaObject): readonly string[] {
  const named = Object.entries(typeKeywords).filter(([, keywords]) =>
    keywords.some((name) => Object.hasOwn(schema, name)),
  );
  return named.length === 0 ? allTypes : named.map(([type]) => type);
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

function readCount(schema: SchemaObject, keyword: string): number | null {
  const value = schema[keyword];
  return typeof value === 'number' ? value : null;
}

function readBounds(schema: SchemaObject) {
  return {
    minimum: readCount(schema, 'minimum'),
    maximum: readCount(schema, 'maximum'),
    exclusiveMinimum: readCount(schema, 'exclusiveMinimum'),
    exclusiveMaximum: readCount(schema, 'exclusiveMaximum'),
  };
}

function emptyArray(min: number): Fragment {
  return min > 0 ? never : text('[]');
}

/** The first items by `prefix`, all others by `rest`; null: there are no others. */
function tuple(prefix: readonly Fragment[], rest: Fragment | null, min: number, max: number | null): Fragment {
  return (network, from, to) => {
    const opened = network.addState();
    network.addBytes(from, 0x5b, 0x5b, opened);
    let at = opened;
    const counted = max ?? Math.max(min, prefix.length) + 1;
    for (let count = 0; ; count++) {
      if (count >= min) network.addBytes(at, 0x5d, 0x5d, to);
      const item = prefix[count] ?? rest;
      if (count === counted || item === null) break;
      const next = network.addState();
      sequence(count === 0 ? empty : text(','), item)(network, at, next);
      at = next;
    }
    if (max === null && rest !== null) sequence(text(','), rest)(network, at, at);
  };
}

interface Member {
  readonly fragment: Fragment;
  readonly isRequired: boolean;
}

/** Members in their order, those that are not required left out or not. */
function memberList(members: readonly Member[]): Fragment {
  return (network, from, to) => {
    // two chains: nothing written yet, and something written, so that a comma is due
    let first = network.addState();
    let later = network.addState();
    network.addBytes(from, 0x7b, 0x7b, first);
    for (const { fragment, isRequired } of members) {
      const nextFirst = network.addState();
      const nextLater = network.addState();
      fragment(network, first, nextLater);
      sequence(text(','), fragment)(network, later, nextLater);
      if (!isRequired) {
        network.addEmpty(first, nextFirst);
        network.addEmpty(later, nextLater);
      }
      [first, later] = [nextFirst, nextLater];
    }
    network.addBytes(first, 0x7d, 0x7d, to);
    network.addBytes(later, 0x7d, 0x7d, to);
  };
}
