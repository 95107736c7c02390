import { invariant } from '../base/invariant.ts';
import type { ReadyMessage } from './child-messages.contract.ts';

/** What children that are up said when they became ready, by name. */
export type ReadyChildren = ReadonlyMap<string, ReadyMessage>;

export type ChildEnv = Readonly<Record<string, string>>;

/** Where a child's stdout and stderr go; either way the child writes by itself and survives the supervisor's silence. */
export type ChildOutput = { readonly type: 'stderr' } | { readonly type: 'file'; readonly path: string };

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment. A function is asked before every start and sees what the others said. */
  readonly env: ChildEnv | ((ready: ReadyChildren) => ChildEnv);
  /** How the child is asked to finish: by the end of its channel, or by SIGTERM with the channel left open. */
  readonly stop: 'ipc' | 'sigterm';
  readonly readyTimeoutMs: number;
  /** Starts after these are ready, stops before them. */
  readonly dependsOn?: readonly string[];
  /** Stops after these, without otherwise depending on them. */
  readonly stopAfter?: readonly string[];
  /** @defaultValue the supervisor's stderr */
  readonly output?: ChildOutput;
}

/** Refuses what would wait for itself: double names, unknown names, circles. Throws `bug.invariant`. */
export function checkChildGraph(specs: readonly ChildSpec[]): void {
  const names = new Set(specs.map((spec) => spec.name));
  invariant(names.size === specs.length, 'children have different names');
  for (const { name, dependsOn = [], stopAfter = [] } of specs) {
    for (const other of [...dependsOn, ...stopAfter]) {
      invariant(names.has(other), `child ${name} names an unknown child ${other}`);
    }
  }
  const stopped = new Set<string>();
  while (stopped.size < specs.length) {
    const next = specs.filter(
      ({ name }) => !stopped.has(name) && planStopsBefore(specs, name).every((other) => stopped.has(other)),
    );
    invariant(next.length > 0, 'children do not wait for each other in a circle');
    for (const { name } of next) stopped.add(name);
  }
}

/** The children that must have stopped before this one may. */
export function planStopsBefore(specs: readonly ChildSpec[], name: string): readonly string[] {
  const dependents = specs.filter(({ dependsOn = [] }) => dependsOn.includes(name)).map((spec) => spec.name);
  const named = specs.find((spec) => spec.name === name)?.stopAfter ?? [];
  return [...new Set([...dependents, ...named])];
}
