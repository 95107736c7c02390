import { toAppError } from '../../base/errors.ts';

/** What one look at the machine found. */
export interface Check {
  readonly name: string;
  /** `warn`: works, and should be known. */
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do about it; null: nothing. */
  readonly todo: string | null;
}

export const ok = (name: string, found: string): Check => ({ name, state: 'ok', found, todo: null });
export const warn = (name: string, found: string, todo: string): Check => ({ name, state: 'warn', found, todo });
export const fail = (name: string, found: string, todo: string): Check => ({ name, state: 'fail', found, todo });

/** A check that breaks has found something, too. */
export async function runCheck(name: string, todo: string, run: () => Promise<Check>): Promise<Check> {
  try {
    return await run();
  } catch (error) {
    return fail(name, toAppError(error).message, todo);
  }
}
