import { fileURLToPath } from 'node:url';

/**
 * The model that tests, chaos runs and benches use in place of the bundled one: random weights, so that no change of the
 * trained one moves a figure or a test. `test/checks/vitest.config.ts` and the stacks of `stack-client.ts` give it to the
 * product by its own setting.
 */
export const testModelDir = fileURLToPath(new URL('../fixtures/quire-nano-random', import.meta.url));
