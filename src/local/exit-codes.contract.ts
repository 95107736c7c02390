import type { ErrorFamily } from '../base/error-codes.ts';

/** With which code a process ends when an error of the family stops it. */
export const exitCodes = {
  input: 2,
  transient: 75,
  capacity: 75,
  ownership: 1,
  corrupt: 65,
  bug: 70,
  cancelled: 130,
} as const satisfies Record<ErrorFamily, number>;
