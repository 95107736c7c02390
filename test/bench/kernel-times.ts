/** What the runtime's profile (Chrome's trace format) says of one kind of operator. */
export interface KernelTime {
  /** The operator; a product with the sizes of its matrix. */
  readonly title: string;
  /** Of one run. */
  readonly times: number;
  readonly ms: number;
}

interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/**
 * Time in operators of a mean run, largest first; that of branches counts for the operators in them.
 * @param texts a profile of each session
 * @param warmUps leading runs of each that do not count
 */
export function sumKernels(texts: readonly string[], warmUps: number): readonly KernelTime[] {
  const found = new Map<string, { times: number; us: number }>();
  for (const text of texts) {
    const events = JSON.parse(text) as readonly TraceEvent[];
    const runs = events.filter(({ name }) => name === 'model_run').toSorted((a, b) => a.ts - b.ts);
    // prefixes are rounded by a session of its own, which may have had nothing to do
    if (runs.length === 0) continue;
    const startUs = runs[warmUps]?.ts ?? Number.POSITIVE_INFINITY;
    const counted = runs.length - warmUps;
    if (counted < 1) throw new Error(`a profile of ${runs.length} runs, wanted more than ${warmUps}`);
    const kernels = events.filter(
      ({ cat, name, ts }) => cat === 'Node' && name.endsWith('_kernel_time') && ts >= startUs,
    );
    for (const { event, ownUs } of withOwnTimes(kernels)) {
      const title = titleOf(event);
      const sum = found.get(title) ?? { times: 0, us: 0 };
      found.set(title, { times: sum.times + 1 / counted, us: sum.us + ownUs / counted });
    }
  }
  return [...found].map(([title, { times, us }]) => ({ title, times, ms: us / 1000 })).toSorted((a, b) => b.ms - a.ms);
}

/** Without the time of events inside: an `If` has those of its branch. */
function withOwnTimes(
  events: readonly TraceEvent[],
): readonly { readonly event: TraceEvent; readonly ownUs: number }[] {
  const timed = events.toSorted((a, b) => a.ts - b.ts || b.dur - a.dur).map((event) => ({ event, ownUs: event.dur }));
  const open: (typeof timed)[number][] = [];
  for (const one of timed) {
    const endUs = one.event.ts + one.event.dur;
    for (let around = open.at(-1); around !== undefined; around = open.at(-1)) {
      if (endUs <= around.event.ts + around.event.dur) break;
      open.pop();
    }
    const around = open.at(-1);
    if (around !== undefined) around.ownUs -= one.event.dur;
    open.push(one);
  }
  return timed;
}

const sizeOf = (shapes: TraceEvent['args'], side: 'input_type_shape' | 'output_type_shape'): number | undefined =>
  Object.values(shapes?.[side]?.[0] ?? {})[0]?.at(-1);

function titleOf({ args }: TraceEvent): string {
  const operator = args?.op_name ?? 'unknown';
  if (operator !== 'MatMulNBits') return operator;
  // packed weights have no shape in the profile
  return `${operator}, ${sizeOf(args, 'input_type_shape')} → ${sizeOf(args, 'output_type_shape')}`;
}
