import { describe, expect, it } from 'vitest';
import { decodeControlJob, decodeUnitJob } from '../../../src/queue/decode-job.ts';
import { unitJobId } from '../../../src/queue/job-ids.ts';

const job = { version: 1, tenant: 'default', batchId: 'batch_a', unitId: 'u000000' } as const;

describe('decodeUnitJob', () => {
  it('gives the job back', () => {
    expect(decodeUnitJob(JSON.parse(JSON.stringify(job)))).toEqual(job);
  });

  it('refuses a version it does not know', () => {
    expect(() => decodeUnitJob({ ...job, version: 2 })).toThrow(/version 2; this program knows 1/);
    expect(() => decodeUnitJob(null)).toThrow(/version none/);
  });

  it.each(['tenant', 'batchId', 'unitId'])('refuses a job without %s', (field) => {
    expect(() => decodeUnitJob({ ...job, [field]: undefined })).toThrow(new RegExp(`no ${field}`));
  });
});

describe('decodeControlJob', () => {
  it('keeps the fields it knows', () => {
    expect(decodeControlJob(job)).toEqual({ version: 1, tenant: 'default', batchId: 'batch_a' });
  });
});

describe('unitJobId', () => {
  it('differs by epoch and has no colon', () => {
    expect(unitJobId(job, 0)).toBe('batch_a.u000000.0');
    expect(unitJobId(job, 1)).not.toBe(unitJobId(job, 0));
  });
});
