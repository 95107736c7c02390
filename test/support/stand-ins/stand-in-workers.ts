import { fileURLToPath } from 'node:url';
import type { WorkerEntries } from '../../../src/local/stack-children.ts';

const entry = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export const standInWorkers: WorkerEntries = {
  janitor: entry('./janitor'),
  analysis: entry('./analysis'),
  api: entry('./api'),
};
