import { type Static, Type } from 'typebox';

/** What intake keeps about drops, under `v1/<tenant>/drops/`. Times are milliseconds. */
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

/** Marker of a drop that is not finished. */
export const openDropSchema = Type.Object({
  version: Type.Literal(1),
  key: Type.String(),
  etag: Type.String(),
  /** Time of the ready marker that let it in. */
  ready_ms: nullable(Type.Number()),
  /** Tries that failed for the drop's own sake. */
  failures: Type.Integer(),
});
export type OpenDrop = Static<typeof openDropSchema>;

/** Create-once: this version of this object was taken. */
export const dropClaimSchema = Type.Object({
  version: Type.Literal(1),
  key: Type.String(),
  etag: Type.String(),
  size: Type.Integer(),
  batch_id: Type.String(),
  at_ms: Type.Number(),
});
export type DropClaim = Static<typeof dropClaimSchema>;

export const dropStates = ['claimed', 'withdrawn', 'rejected', 'quarantined'] as const;

/** What an inbox key stands for now. */
export const dropRecordSchema = Type.Object({
  version: Type.Literal(1),
  key: Type.String(),
  etag: Type.String(),
  size: Type.Integer(),
  /** `withdrawn`: gone or changed before its bytes were copied, as if it had never been. */
  state: Type.Enum(dropStates),
  reason: nullable(Type.String()),
  /** Digest of template and rules: a rejection holds only as long as these stay. */
  judged_by: Type.String(),
  /** What was written about the version before is gone. */
  cleared: Type.Boolean(),
  ready_ms: nullable(Type.Number()),
  at_ms: Type.Number(),
});
export type DropRecord = Static<typeof dropRecordSchema>;
