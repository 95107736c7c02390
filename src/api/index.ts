export { buildServer } from './build-server.ts';
export type { ApiOptions } from './options.ts';
export type { ServerDeps } from './ports.ts';
