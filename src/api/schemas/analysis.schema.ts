import { type Static, Type } from 'typebox';
import { nullable } from './paging.schema.ts';

/**
 * One document question. While it waits or runs, `ext.current` says how far it is; when done, the result's members
 * (answer, found, parsed, citations, coverage, reasoning_content, usage, timing) join it.
 */
export const analysisObjectSchema = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('analysis'),
    status: Type.Enum(['queued', 'in_progress', 'completed', 'failed']),
    batch_id: Type.String(),
    created_at: Type.Integer(),
    error: nullable(
      Type.Object({
        message: Type.String(),
        type: Type.String(),
        param: nullable(Type.String()),
        code: nullable(Type.String()),
      }),
    ),
    ext: Type.Object({}, { additionalProperties: true }),
  },
  { additionalProperties: true },
);
export type AnalysisObject = Static<typeof analysisObjectSchema>;

export const analysisParamsSchema = Type.Object({ analysis_id: Type.String() });
export type AnalysisParams = Static<typeof analysisParamsSchema>;
