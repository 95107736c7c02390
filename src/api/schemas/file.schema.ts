import { type Static, Type } from 'typebox';
import { listOf } from './paging.schema.ts';

/**
 * What a caller may upload: batch inputs, and documents under OpenAI's and Kimi's names.
 * Our own output files carry `batch_output`.
 */
export const uploadPurposes = ['batch', 'user_data', 'assistants', 'file-extract'] as const;

export const fileObjectSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('file'),
  bytes: Type.Integer(),
  created_at: Type.Integer(),
  filename: Type.String(),
  purpose: Type.String(),
  /** Deprecated by OpenAI, but `waitForProcessing` of the stock client polls it. */
  status: Type.Literal('processed'),
  expires_at: Type.Optional(Type.Integer()),
});
export type FileObject = Static<typeof fileObjectSchema>;

export const fileListSchema = listOf(fileObjectSchema);

export const deletedFileSchema = Type.Object({
  id: Type.String(),
  object: Type.Literal('file'),
  deleted: Type.Literal(true),
});

export const fileParamsSchema = Type.Object({ file_id: Type.String() });
export type FileParams = Static<typeof fileParamsSchema>;

export const fileListQuerySchema = Type.Object(
  {
    purpose: Type.Optional(Type.String({ maxLength: 64 })),
    order: Type.Enum(['asc', 'desc'], { default: 'desc' }),
    after: Type.Optional(Type.String()),
    // OpenAI's default is 10,000, each of which is a read of its own here; clients go on while `has_more`
    limit: Type.Integer({ minimum: 1, maximum: 10_000, default: 1_000 }),
  },
  { additionalProperties: false },
);
export type FileListQuery = Static<typeof fileListQuerySchema>;

/** The text fields of an upload form, after its `file` part is stored. */
export const uploadFieldsSchema = Type.Object(
  {
    purpose: Type.Enum(uploadPurposes),
    'expires_after[anchor]': Type.Optional(Type.Literal('created_at')),
    /** An hour to 30 days. */
    'expires_after[seconds]': Type.Optional(Type.Integer({ minimum: 3_600, maximum: 2_592_000 })),
  },
  {
    additionalProperties: false,
    dependencies: {
      'expires_after[anchor]': ['expires_after[seconds]'],
      'expires_after[seconds]': ['expires_after[anchor]'],
    },
  },
);
export type UploadFields = Static<typeof uploadFieldsSchema>;
