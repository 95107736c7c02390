import { AppError } from '../base/errors.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readBoolean,
  refuseUnknown,
  refuseUnserved,
  show,
} from './request-fields.ts';

const optionFields = new Set(['include_usage', 'include_obfuscation']);
const unservedOptions = {
  include_obfuscation: { neutral: [false], hint: 'it is not supported; leave it out or set it to false' },
};

/**
 * `stream` and `stream_options`; null for an answer as a whole.
 * @throws `input.unsupported` for a stream where none can be, `input.invalid-request`, `input.unknown-field`
 */
export function parseStream(body: Body, streaming: boolean): { readonly includeUsage: boolean } | null {
  const asked = readBoolean(body, 'stream') ?? false;
  if (asked && !streaming) {
    const message = 'stream is true; a line of a batch is answered as a whole: leave it out or set it to false';
    throw new AppError('input.unsupported', message, { param: 'stream' });
  }
  const { stream_options: options } = body as { stream_options?: unknown };
  if (isAbsent(options)) return asked ? { includeUsage: false } : null;
  if (!isPlainObject(options)) {
    throw invalid('stream_options', `stream_options is ${show(options)}; it must be an object`);
  }
  if (!asked) throw invalid('stream_options', 'stream_options needs stream true; leave it out');
  refuseUnknown(options, optionFields, 'stream_options.');
  refuseUnserved(options, unservedOptions, 'stream_options.');
  return { includeUsage: readBoolean(options, 'include_usage', 'stream_options.include_usage') ?? false };
}
