import { defineConfig } from 'vitest/config';
import { testModelDir } from '../support/test-model.ts';
import { PlainReporter } from './plain-reporter.ts';

const root = new URL('../..', import.meta.url).pathname;

const project = (name: string, include: string, options: { timeoutMs: number; parallel: boolean }) => ({
  test: {
    name,
    root,
    include: [include],
    testTimeout: options.timeoutMs,
    hookTimeout: options.timeoutMs,
    fileParallelism: options.parallel,
    env: { NODE_NO_WARNINGS: '1', QUIRE_MODEL_DIR: testModelDir },
  },
});

export default defineConfig({
  root,
  test: {
    reporters: [['default', { summary: false }], new PlainReporter()],
    maxWorkers: 2,
    projects: [
      project('unit', 'test/unit/**/*.test.ts', { timeoutMs: 10_000, parallel: true }),
      project('checks', 'test/checks/**/*.test.ts', { timeoutMs: 10_000, parallel: true }),
      project('contract', 'test/contract/**/*.test.ts', { timeoutMs: 60_000, parallel: true }),
      project('model', 'test/model/**/*.test.ts', { timeoutMs: 120_000, parallel: false }),
      project('infra', 'test/infra/**/*.test.ts', { timeoutMs: 120_000, parallel: false }),
      // `npm run test:long`
      project('long', 'test/long/**/*.test.ts', { timeoutMs: 600_000, parallel: false }),
      project('integration', 'test/integration/**/*.test.ts', { timeoutMs: 120_000, parallel: false }),
      // a short selection of `npm run chaos`
      project('chaos', 'test/chaos/**/*.test.ts', { timeoutMs: 600_000, parallel: false }),
    ],
  },
});
