import type { UnitJob } from './messages.schema.ts';

/** `<batch>.<unit>.<epoch>`: an epoch never comes back, so a new job is never taken for an old one. */
export function unitJobId({ batchId, unitId }: Pick<UnitJob, 'batchId' | 'unitId'>, epoch: number): string {
  return `${batchId}.${unitId}.${epoch}`;
}
