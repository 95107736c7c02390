import { type Static, Type } from 'typebox';
import { nullable } from './paging.schema.ts';

export const modelObjectSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  /** When this server loaded it: model folders carry no date. */
  created: Type.Integer(),
  owned_by: Type.String(),
  ext: Type.Object({
    architecture: Type.String(),
    context_tokens: Type.Integer(),
    layers: Type.Integer(),
    experts: Type.Integer(),
    experts_per_token: Type.Integer(),
    parameters: Type.Integer(),
    active_parameters: Type.Integer(),
    weights: Type.String(),
    notice: nullable(Type.String()),
    digest: Type.String(),
  }),
});
export type ModelObject = Static<typeof modelObjectSchema>;

export const modelListSchema = Type.Object({ object: Type.Literal('list'), data: Type.Array(modelObjectSchema) });

export const modelParamsSchema = Type.Object({ model: Type.String() });
export type ModelParams = Static<typeof modelParamsSchema>;
