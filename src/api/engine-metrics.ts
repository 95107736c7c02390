import { Counter, Gauge, type Registry } from 'prom-client';
import type { EngineStats } from '../engine/index.ts';
import type { EngineReport, EventBus } from '../queue/index.ts';

/** A value of one engine with the labels beside `worker`. */
type Sample = readonly [labels: Readonly<Record<string, string>>, value: number | undefined];

/** A worker of another version may leave any figure out. */
type Figures = { readonly [Name in keyof EngineStats]?: Partial<EngineStats[Name]> | null } & {
  /** What the worker says of its lines, beside what the engine says of itself. */
  readonly resumes?: Readonly<Record<string, unknown>>;
};

interface EngineMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labels: readonly string[];
  readonly read: (figures: Figures) => readonly Sample[];
}

const ofTiers =
  (...fields: readonly (keyof EngineStats['tiers']['memory'])[]) =>
  ({ tiers }: Figures): readonly Sample[] =>
    Object.entries(tiers ?? {}).flatMap(([tier, stats]) =>
      stats === null || stats === undefined
        ? []
        : fields.map((field): Sample => [{ tier, ...(fields.length > 1 ? { kind: field } : {}) }, stats[field]]),
    );

const ofField =
  (field: 'runs' | 'preemptions' | 'cancellations' | 'checkpoints') =>
  (figures: Figures): readonly Sample[] => [[{}, numberOf(figures[field])]];

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
const secondsOf = (ms: unknown): number | undefined => (typeof ms === 'number' ? ms / 1_000 : undefined);

const metrics: readonly EngineMetric[] = [
  {
    name: 'quire_engine_requests',
    help: 'requests in the engine by state',
    type: 'gauge',
    labels: ['state'],
    read: ({ waiting, running }) => [
      [{ state: 'waiting' }, numberOf(waiting)],
      [{ state: 'running' }, numberOf(running)],
    ],
  },
  {
    name: 'quire_engine_blocks',
    help: 'blocks of 256 rows of latent memory by state; free + cached + held = all',
    type: 'gauge',
    labels: ['state'],
    read: ({ blocks }) => [
      [{ state: 'free' }, blocks?.free],
      [{ state: 'cached' }, blocks?.cached],
      [{ state: 'held' }, blocks?.held],
    ],
  },
  {
    name: 'quire_engine_block_bytes',
    help: 'bytes of one block of latent memory',
    type: 'gauge',
    labels: [],
    read: ({ blocks }) => [[{}, blocks?.blockBytes]],
  },
  {
    name: 'quire_engine_tier_pages',
    help: 'pages kept, by tier',
    type: 'gauge',
    labels: ['tier'],
    read: ofTiers('pages'),
  },
  {
    name: 'quire_engine_tier_bytes',
    help: 'bytes of the pages kept, by tier',
    type: 'gauge',
    labels: ['tier'],
    read: ofTiers('bytes'),
  },
  {
    name: 'quire_engine_tier_budget_bytes',
    help: 'most bytes of pages that a tier may keep',
    type: 'gauge',
    labels: ['tier'],
    read: ofTiers('budgetBytes'),
  },
  {
    name: 'quire_engine_tier_operations_total',
    help: 'pages found (hits), looked for in vain (misses), written, dropped to make room, dropped as damaged, by tier',
    type: 'counter',
    labels: ['tier', 'kind'],
    read: ofTiers('hits', 'misses', 'writes', 'evictions', 'corrupt'),
  },
  {
    name: 'quire_engine_restore_rate',
    help: 'what decides whether a stored page is read or computed: bytes of pages read a second (bytes), prompt tokens computed a second (tokens)',
    type: 'gauge',
    labels: ['unit'],
    read: ({ restore }) => [
      [{ unit: 'bytes' }, restore?.bytesPerSecond ?? undefined],
      [{ unit: 'tokens' }, restore?.prefillTokensPerSecond ?? undefined],
    ],
  },
  {
    name: 'quire_engine_pages_declined_total',
    help: 'pages computed without asking the object store, because computing was faster',
    type: 'counter',
    labels: [],
    read: ({ restore }) => [[{}, restore?.declined]],
  },
  {
    name: 'quire_engine_tokens_total',
    help: 'tokens: prompt tokens computed (prefill) and found in the cache (cached), answer tokens (decode)',
    type: 'counter',
    labels: ['kind'],
    read: ({ prefillTokens, cachedTokens, decodeTokens }) => [
      [{ kind: 'prefill' }, numberOf(prefillTokens)],
      [{ kind: 'cached' }, numberOf(cachedTokens)],
      [{ kind: 'decode' }, numberOf(decodeTokens)],
    ],
  },
  {
    name: 'quire_engine_draft_tokens_total',
    help: 'answer tokens guessed ahead (drafted), and those of them that came true (accepted)',
    type: 'counter',
    labels: ['kind'],
    read: ({ draftedTokens, acceptedTokens }) => [
      [{ kind: 'drafted' }, numberOf(draftedTokens)],
      [{ kind: 'accepted' }, numberOf(acceptedTokens)],
    ],
  },
  {
    name: 'quire_engine_seconds_total',
    help: 'seconds with work, inside the model runtime (run) and outside it (overhead)',
    type: 'counter',
    labels: ['kind'],
    read: ({ runMs, overheadMs }) => [
      [{ kind: 'run' }, secondsOf(runMs)],
      [{ kind: 'overhead' }, secondsOf(overheadMs)],
    ],
  },
  { name: 'quire_engine_runs_total', help: 'runs of the model', type: 'counter', labels: [], read: ofField('runs') },
  {
    name: 'quire_engine_preemptions_total',
    help: 'answers put back to make room for others',
    type: 'counter',
    labels: [],
    read: ofField('preemptions'),
  },
  {
    name: 'quire_engine_cancellations_total',
    help: 'requests whose caller left',
    type: 'counter',
    labels: [],
    read: ofField('cancellations'),
  },
  {
    name: 'quire_engine_checkpoints_total',
    help: 'checkpoints of answers made',
    type: 'counter',
    labels: [],
    read: ofField('checkpoints'),
  },
  {
    name: 'quire_lines_resumed_total',
    help: 'lines that went on in mid-answer: with the same bits as without an interruption (exact), or the same tokens',
    type: 'counter',
    labels: ['how'],
    read: ({ resumes }) => [
      [{ how: 'exact' }, numberOf(resumes?.['exact'])],
      [{ how: 'tokens' }, numberOf(resumes?.['tokens'])],
    ],
  },
  {
    name: 'quire_tokens_wasted_total',
    help: 'answer tokens that were written, lost with a process, and computed again',
    type: 'counter',
    labels: [],
    read: ({ resumes }) => [[{}, numberOf(resumes?.['wastedTokens'])]],
  },
  {
    name: 'quire_checkpoints_lost_total',
    help: 'checkpoints that were damaged or missing when their lines were to go on',
    type: 'counter',
    labels: [],
    read: ({ resumes }) => [[{}, numberOf(resumes?.['lostCheckpoints'])]],
  },
];

/**
 * What workers say of their engines, one series a worker. Read at every scrape: a worker that is gone has no series.
 * Counters begin again with each engine process, as counters may.
 */
export function registerEngineMetrics(registry: Registry, bus: Pick<EventBus, 'readEngineStats'>): void {
  const read = buildSharedReader(bus);
  for (const metric of metrics) registry.registerMetric(buildMetric(metric, read));
}

/** All metrics of a scrape are asked for at once: they share one read. Nothing while Redis is away. */
function buildSharedReader(bus: Pick<EventBus, 'readEngineStats'>): () => Promise<readonly EngineReport[]> {
  let pending: Promise<readonly EngineReport[]> | undefined;
  return () => {
    pending ??= bus
      .readEngineStats()
      .catch(() => [])
      .finally(() => {
        pending = undefined;
      });
    return pending;
  };
}

function buildMetric(
  { name, help, type, labels, read: samplesOf }: EngineMetric,
  read: () => Promise<readonly EngineReport[]>,
): Counter | Gauge {
  const options = { name, help, labelNames: ['worker', ...labels], registers: [] };
  const fill = async (set: (labels: Record<string, string>, value: number) => void): Promise<void> => {
    for (const { workerId, stats } of await read()) {
      for (const [own, value] of samplesOf(stats as Figures)) {
        if (typeof value === 'number' && value >= 0) set({ worker: workerId, ...own }, value);
      }
    }
  };
  if (type === 'gauge') {
    return new Gauge({
      ...options,
      async collect() {
        this.reset();
        await fill((own, value) => this.set(own, value));
      },
    });
  }
  return new Counter({
    ...options,
    async collect() {
      this.reset();
      await fill((own, value) => this.inc(own, value));
    },
  });
}
