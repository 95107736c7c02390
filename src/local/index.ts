export { type DataFolderLock, lockDataFolder } from './data-folder.ts';
export { findRedisServer, type RedisServerCommand } from './find-redis-server.ts';
export { type LocalBucket, openLocalBucket } from './local-bucket.ts';
export { openPrivateRedis, type PrivateRedis, type PrivateRedisOptions, type RedisExit } from './redis-launcher.ts';
export { findApiUrl } from './stack-state.ts';
export { type Stack, type StackOptions, startStack } from './start-stack.ts';
export { openStopSignals, type StopSignals } from './stop-signals.ts';
export { openSupervisor, type StopOptions, type Supervisor, type SupervisorOptions } from './supervisor.ts';
export type { ChildEvent, Pids, SupervisorEvent, SupervisorPhase } from './supervisor-events.ts';
