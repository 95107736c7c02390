import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import type { EventBus, WorkQueue } from '../queue/index.ts';
import { registerEngineMetrics } from './engine-metrics.ts';

export interface MetricsDeps {
  /** One registry a server: names are registered once. */
  readonly registry: Registry;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
}

/** 5 ms to 10 min: from a listing to the longest synchronous completion. */
const durationBuckets = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** Registers process, HTTP, queue, engine and batch metrics, and feeds them from the app's hooks and the event bus. */
export function observeServer(app: FastifyInstance, { registry, queue, bus }: MetricsDeps): void {
  collectDefaultMetrics({ register: registry });
  observeRequests(app, registry);
  registry.registerMetric(queueGauge(queue));
  registerEngineMetrics(registry, bus);

  const transitions = new Counter({
    name: 'quire_batch_transitions_total',
    help: 'batch state changes heard on the event bus; every api process hears all of them, so do not add processes up',
    labelNames: ['status'],
    registers: [registry],
  });
  const unsubscribe = bus.subscribe((event) => {
    if (event.type === 'batch-change') transitions.inc({ status: event.status });
  });
  app.addHook('onClose', () => unsubscribe());
}

function observeRequests(app: FastifyInstance, registry: Registry): void {
  const labelNames = ['method', 'route', 'status'] as const;
  const total = new Counter({
    name: 'quire_http_requests_total',
    help: 'requests answered',
    labelNames,
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'quire_http_request_duration_seconds',
    help: 'time from request to the end of its answer',
    labelNames,
    buckets: durationBuckets,
    registers: [registry],
  });
  app.addHook('onResponse', async (request, reply) => {
    // the pattern, not the path: ids must not become label values
    const route = request.routeOptions.url ?? 'unknown';
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    total.inc(labels);
    duration.observe(labels, reply.elapsedTime / 1000);
  });
}

function queueGauge(queue: WorkQueue): Gauge<'state'> {
  return new Gauge({
    name: 'quire_queue_jobs',
    help: 'unit jobs in Redis by state; absent while Redis is away',
    labelNames: ['state'],
    registers: [],
    async collect() {
      this.reset();
      const counts = await queue.counts().catch(() => null);
      if (counts === null) return;
      for (const state of ['waiting', 'active', 'delayed'] as const) this.set({ state }, counts[state]);
    },
  });
}
