import { type JobState, Queue } from 'bullmq';
import { unitJobId } from './job-ids.ts';
import { type ControlJob, queueNames, type UnitJob } from './messages.schema.ts';
import type { JobPriority, WorkQueue } from './ports.ts';
import { openCommandConnection, type RedisOptions, reach } from './redis-connection.ts';
import { jobOptions } from './retry-policy.ts';

/** BullMQ takes jobs without priority before all that have one. */
const priorityOf: Readonly<Record<JobPriority, { readonly priority?: number }>> = {
  interactive: {},
  batch: { priority: 10 },
};

/** States in which a job will still be run, or is. */
const liveStates: readonly (JobState | 'unknown')[] = [
  'waiting',
  'prioritized',
  'delayed',
  'active',
  'waiting-children',
];

/** Opens the producer side. Does not wait for Redis: every call fails by name while it is away, and works when it is back. */
export function openWorkQueue(options: RedisOptions): WorkQueue {
  const redis = openCommandConnection(options, 'quire-queue');
  const openQueue = (name: string): Queue => {
    const queue = new Queue(name, { connection: redis, defaultJobOptions: jobOptions });
    // told once by the connection itself
    queue.on('error', () => {});
    return queue;
  };
  const units = openQueue(queueNames.units);
  const control = openQueue(queueNames.control);
  return {
    addUnit: async (job: UnitJob, epoch: number, priority: JobPriority) => {
      await reach(redis, () => units.add('run-unit', job, { jobId: unitJobId(job, epoch), ...priorityOf[priority] }));
    },
    hasUnit: async (job: UnitJob, epoch: number) => {
      const state = await reach(redis, () => units.getJobState(unitJobId(job, epoch)));
      return liveStates.includes(state);
    },
    addControl: async (job: ControlJob) => {
      await reach(redis, () => control.add('handle-batch', job));
    },
    ping: async () => {
      await reach(redis, () => redis.ping());
    },
    counts: () =>
      reach(redis, async () => {
        const counts = await units.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
        const total = (state: string): number => counts[state] ?? 0;
        return {
          waiting: total('waiting') + total('prioritized'),
          active: total('active'),
          delayed: total('delayed'),
        };
      }),
    close: async () => {
      await Promise.allSettled([units.close(), control.close()]);
      redis.disconnect();
    },
  };
}
