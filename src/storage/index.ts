export { ensureBucket } from './ensure-bucket.ts';
export { keys, prefixes, tenantPrefix } from './keys.contract.ts';
export { MemoryObjectStore } from './memory-object-store.ts';
export type {
  ByteRange,
  CreateOutcome,
  GetOptions,
  ListedObject,
  Listing,
  ListOptions,
  ObjectHead,
  ObjectStore,
  PutOptions,
  PutStreamOptions,
  StoredObject,
  StreamedObject,
  StreamedPut,
  SwapOutcome,
} from './object-store.ts';
export { openS3ObjectStore, type S3Options } from './s3-object-store.ts';
export { type SweepOptions, sweepExpired } from './sweep-expired.ts';
