import { fileURLToPath } from 'node:url';
import type { WorkerEntries } from '../../../src/local/stack-children.ts';

const entry = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export const standInWorkers: WorkerEntries = {
  janitor: entry('./janitor'),
  intake: entry('./intake'),
  analysis: entry('./analysis'),
  api: entry('./api'),
};
