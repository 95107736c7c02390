import { AppError } from '../../base/errors.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isJsonRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `input.model-folder` with the field or line of a tokenizer's file, the value met and what is allowed. */
export function tokenizerFileError(field: string, met: unknown, allowed: string, file = 'tokenizer.json'): AppError {
  const text = met === undefined ? 'missing' : JSON.stringify(met);
  const value = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return new AppError('input.model-folder', `${file}: ${field} is ${value}, allowed: ${allowed}`, {
    param: field,
    details: { file, field, met: value, allowed },
  });
}
