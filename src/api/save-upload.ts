import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BatchStore } from '../batch/index.ts';
import type { FileRecord } from '../batch/records.schema.ts';
import { type UploadFields, uploadFieldsSchema } from './schemas/file.schema.ts';
import { readUploadForm, type UploadLimits } from './upload-form.ts';
import { buildTextParser } from './validation.ts';

const parseUploadFields = buildTextParser<UploadFields>(uploadFieldsSchema);

/**
 * Bytes first, then what they are: until the form has ended and its fields are right, there is no file.
 * @throws `input.*`, leaving nothing behind; `transient.*`
 */
export async function saveUpload(
  batches: BatchStore,
  tenant: string,
  limits: UploadLimits,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FileRecord> {
  const { stored, fields } = await readUploadForm(request, reply, limits, {
    store: async (filename, bytes) => ({
      bytes: await batches.storeBytes(tenant, bytes, limits.maxFileBytes),
      filename,
    }),
    drop: (file) => batches.dropBytes(file.bytes),
  });
  try {
    const { purpose, 'expires_after[seconds]': seconds = null } = parseUploadFields(fields);
    return await batches.describeBytes(stored.bytes, {
      filename: stored.filename,
      purpose,
      ...(seconds === null ? {} : { expiresAfterSeconds: seconds }),
    });
  } catch (error) {
    await batches.dropBytes(stored.bytes);
    throw error;
  }
}
