import { isAppError } from '../../base/errors.ts';
import type { Tokenizer } from '../ports.ts';

/** Id of a special token, or null where the tokenizer has none of that name. */
export function findSpecial(tokenizer: Tokenizer, name: string): number | null {
  try {
    return tokenizer.specialId(name);
  } catch (error) {
    if (isAppError(error) && error.code === 'input.model-folder') return null;
    throw error;
  }
}
