export type { EngineConfig } from './engine-config.ts';
export { type Config, type LimitsConfig, loadConfig, type S3Config } from './load-config.ts';
