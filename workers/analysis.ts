import { forkEngine } from './compose/fork-engine.ts';

// it takes as long to load as the rest of this process, so it goes first: the next worker after a crash is there sooner
let started: ReturnType<typeof forkEngine> | null = forkEngine();

const [{ runProcess }, { startAnalysis }] = await Promise.all([
  import('./compose/run-process.ts'),
  import('./compose/start-analysis.ts'),
]);

await runProcess('analysis', (config, log) =>
  startAnalysis(config, log, () => {
    const channel = started ?? forkEngine();
    started = null;
    return channel;
  }),
);
