import type { SerializedError } from '../base/errors.ts';

/** Process numbers by name. */
export type Pids = Readonly<Record<string, number>>;

/** What happens to one child; plain JSON, so that it can be printed as a line. `pids` are the child's own and those it told of. */
export type ChildEvent =
  | { readonly type: 'child-start'; readonly name: string; readonly pid: number }
  | { readonly type: 'child-ready'; readonly name: string; readonly pid: number; readonly pids: Pids }
  | { readonly type: 'child-pids'; readonly name: string; readonly pid: number; readonly pids: Pids }
  | {
      readonly type: 'child-failed';
      readonly name: string;
      readonly pid: number | null;
      readonly error: SerializedError;
    }
  | {
      readonly type: 'child-exit';
      readonly name: string;
      readonly pid: number | null;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      /** null: it stays ended. */
      readonly restartInMs: number | null;
    };

/** starting → running → draining → stopped; a start that fails goes straight to draining. */
export type SupervisorPhase = 'starting' | 'running' | 'draining' | 'stopped';

export type SupervisorEvent = ChildEvent | { readonly type: 'phase'; readonly phase: SupervisorPhase };
