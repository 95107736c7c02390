import { type Static, Type } from 'typebox';

/** The body of every answer that is not a success. */
export const errorBodySchema = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    param: Type.Union([Type.String(), Type.Null()]),
    code: Type.Union([Type.String(), Type.Null()]),
    ext: Type.Object({
      /** Our own code, see src/base/error-codes.ts. */
      code: Type.String(),
      details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    }),
  }),
});
export type ErrorBody = Static<typeof errorBodySchema>;

/** Spread into the `response` of every route. */
export const errorResponses = { default: errorBodySchema } as const;
