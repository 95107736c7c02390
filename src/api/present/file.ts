import type { FileRecord } from '../../batch/records.schema.ts';
import type { FileObject } from '../schemas/file.schema.ts';

export function presentFile(record: FileRecord): FileObject {
  return {
    id: record.id,
    object: 'file',
    bytes: record.bytes,
    created_at: record.created_at,
    filename: record.filename,
    purpose: record.purpose,
    status: 'processed',
    ...(record.expires_at === null ? {} : { expires_at: record.expires_at }),
  };
}
