export {
  type ControlJob,
  type LineDelta,
  type QuireEvent,
  queueNames,
  type TextPiece,
  type ToolCallPiece,
  type UnitJob,
  type UnitProgress,
} from './messages.schema.ts';
export { type ConsumerOptions, openControlConsumer, openUnitConsumer } from './open-consumer.ts';
export { openEventBus } from './open-event-bus.ts';
export { openStalledWatch, type StalledWatch, type StalledWatchOptions } from './open-stalled-watch.ts';
export { openWorkQueue } from './open-work-queue.ts';
export type { Consumer, EngineReport, EventBus, JobContext, JobHandler, JobPriority, WorkQueue } from './ports.ts';
export type { RedisOptions } from './redis-connection.ts';
