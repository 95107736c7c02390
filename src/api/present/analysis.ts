import { AppError } from '../../base/errors.ts';
import { type BatchId, parseBatchId } from '../../base/ids.ts';
import type { BatchRecord } from '../../batch/records.schema.ts';
import type { LineAnswer } from '../line-answer.ts';
import type { AnalysisObject } from '../schemas/analysis.schema.ts';
import { type BatchActivity, presentCurrent } from './batch.ts';

/** An analysis is the one line of a batch: both ids carry the same token. */
export const analysisIdOf = (batchId: string): string => batchId.replace(/^batch_/, 'an_');

/** @throws `input.not-found` */
export function batchIdOfAnalysis(analysisId: string): BatchId {
  const token = /^an_([0-9a-f]{24})$/.exec(analysisId)?.[1];
  if (token === undefined) throw noSuchAnalysis(analysisId);
  return parseBatchId(`batch_${token}`);
}

export const noSuchAnalysis = (analysisId: string): AppError =>
  new AppError('input.not-found', `no such analysis: ${JSON.stringify(analysisId.slice(0, 80))}`, {
    param: 'analysis_id',
  });

export function presentAnalysis(
  record: BatchRecord,
  answer: LineAnswer | undefined,
  activity: BatchActivity,
): AnalysisObject {
  const base = {
    id: analysisIdOf(record.id),
    object: 'analysis' as const,
    batch_id: record.id,
    created_at: record.created_at,
    error: null,
  };
  if (answer === undefined) {
    const [current] = activity.current;
    const ext = { current: current === undefined ? null : presentCurrent(current), wait_reason: activity.waitReason };
    return { ...base, status: current === undefined ? 'queued' : 'in_progress', ext };
  }
  if (answer.status >= 400) {
    const error = answer.body['error'] as NonNullable<AnalysisObject['error']>;
    return { ...base, status: 'failed', error, ext: {} };
  }
  const ext = answer.body['ext'] as AnalysisObject['ext'] | undefined;
  return { ...answer.body, ...base, status: 'completed', ext: ext ?? {} };
}
