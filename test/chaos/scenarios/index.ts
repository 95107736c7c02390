import type { Scenario } from '../harness/scenario.ts';
import { batchScenarios } from './batches.ts';
import { budgetScenarios } from './budget.ts';
import { checkpointScenarios } from './checkpoints.ts';
import { handoverScenarios } from './handover.ts';
import { inputScenarios } from './inputs.ts';
import { killScenarios } from './kills.ts';
import { redisScenarios } from './redis.ts';
import { storeScenarios } from './store.ts';
import { webhookScenarios } from './webhooks.ts';
import { workerScenarios } from './workers.ts';

export const scenarios: readonly Scenario[] = [
  ...batchScenarios,
  ...budgetScenarios,
  ...workerScenarios,
  ...handoverScenarios,
  ...checkpointScenarios,
  ...redisScenarios,
  ...storeScenarios,
  ...inputScenarios,
  ...webhookScenarios,
  ...killScenarios,
];
