import { AppError } from '../base/errors.ts';
import type { ControlJob, UnitJob } from './messages.schema.ts';

type Fields = Readonly<Record<string, unknown>>;

/** @throws `corrupt.version`, `corrupt.record`: a payload somebody else wrote */
export function decodeUnitJob(data: unknown): UnitJob {
  const { tenant, batchId, unitId } = readFields(data);
  return {
    version: 1,
    tenant: text(tenant, 'tenant'),
    batchId: text(batchId, 'batchId'),
    unitId: text(unitId, 'unitId'),
  };
}

/** @throws `corrupt.version`, `corrupt.record` */
export function decodeControlJob(data: unknown): ControlJob {
  const { tenant, batchId } = readFields(data);
  return { version: 1, tenant: text(tenant, 'tenant'), batchId: text(batchId, 'batchId') };
}

function readFields(data: unknown): Fields & { tenant?: unknown; batchId?: unknown; unitId?: unknown } {
  const fields = (typeof data === 'object' && data !== null ? data : {}) as Fields;
  if (fields['version'] === 1) return fields;
  const met = JSON.stringify(fields['version']) ?? 'none';
  throw new AppError('corrupt.version', `queue job has version ${met}; this program knows 1`);
}

function text(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new AppError('corrupt.record', `queue job has no ${field}`);
}
