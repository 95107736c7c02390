import { AppError } from './errors.ts';

/** States what our own code guarantees; never used to check input. Throws `bug.invariant`. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AppError('bug.invariant', message);
}

/** Ends a switch over a tagged union, so that a new member is a compile error. */
export function assertNever(value: never): never {
  throw new AppError('bug.invariant', `unexpected value ${JSON.stringify(value)}`);
}
