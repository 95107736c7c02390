import { AppError } from '../../base/errors.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isJsonRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `input.model-folder` with the file, the field, the value met and what is allowed. */
export function configError(field: string, met: unknown, allowed: string, file = 'config.json'): AppError {
  const value = met === undefined ? 'missing' : JSON.stringify(met);
  return new AppError('input.model-folder', `${file}: ${field} is ${value}, allowed: ${allowed}`, {
    param: field,
    details: { file, field, met: value, allowed },
  });
}

/** Reads typed fields of one object of a configuration file; `prefix` names the object in messages. JSON null reads as absent. */
export class ConfigReader {
  readonly #record: JsonRecord;
  readonly #prefix: string;
  readonly #file: string;

  constructor(record: JsonRecord, prefix = '', file = 'config.json') {
    this.#record = record;
    this.#prefix = prefix;
    this.#file = file;
  }

  fail(field: string, allowed: string): AppError {
    return configError(this.#prefix + field, this.#record[field], allowed, this.#file);
  }

  has(field: string): boolean {
    return this.#record[field] !== undefined && this.#record[field] !== null;
  }

  count(field: string, minimum: number, fallback?: number): number {
    const value = this.#record[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > 2 ** 31 - 1) {
      throw this.fail(field, `a whole number of at least ${minimum}`);
    }
    return value;
  }

  positive(field: string, fallback?: number): number {
    const value = this.#record[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) throw this.fail(field, 'a number above 0');
    return value;
  }

  /** A finite number of at least 0. */
  notNegative(field: string, fallback: number): number {
    const value = this.#record[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw this.fail(field, 'a number from 0');
    return value;
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.#record[field] ?? fallback;
    if (typeof value !== 'boolean') throw this.fail(field, 'true, false');
    return value;
  }

  text(field: string, fallback?: string): string {
    const value = this.#record[field] ?? fallback;
    if (typeof value !== 'string') throw this.fail(field, 'a string');
    return value;
  }

  /** One token id or a list of them; absent is none. */
  ids(field: string, vocabularySize: number): readonly number[] {
    const value = this.#record[field] ?? [];
    const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isId = (id: unknown): id is number =>
      typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabularySize;
    if (!ids.every(isId)) throw this.fail(field, `token ids below ${vocabularySize}`);
    return Object.freeze([...ids]);
  }

  /** A nested object, or undefined when absent. */
  findObject(field: string): ConfigReader | undefined {
    const value = this.#record[field] ?? undefined;
    if (value === undefined) return undefined;
    if (!isJsonRecord(value)) throw this.fail(field, 'an object');
    return new ConfigReader(value, `${this.#prefix}${field}.`, this.#file);
  }

  values(): readonly [name: string, value: unknown][] {
    return Object.entries(this.#record);
  }

  /** Refuses every value but `allowed`; absent counts as allowed. */
  only(field: string, allowed: readonly (string | number | boolean)[]): void {
    const value = this.#record[field] ?? undefined;
    if (value !== undefined && !allowed.some((candidate) => candidate === value)) {
      throw this.fail(field, allowed.join(', '));
    }
  }
}
