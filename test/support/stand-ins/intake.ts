import { runStandIn } from './run-stand-in.ts';

await runStandIn('intake');
