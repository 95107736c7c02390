import { AppError } from '../base/errors.ts';
import { type FileId, parseFileId } from '../base/ids.ts';

/** A file id inside a request. @throws `input.not-found` naming the field it came in */
export function parseNamedFileId(text: string, param: string): FileId {
  try {
    return parseFileId(text);
  } catch (cause) {
    throw new AppError('input.not-found', `no such file: ${JSON.stringify(text.slice(0, 80))}`, { param, cause });
  }
}
