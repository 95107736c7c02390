/** Told after an object became durable. */
export interface ObjectCreatedEvent {
  /** As in S3's own notifications, without the `s3:` before it. */
  readonly name: 'ObjectCreated:Put' | 'ObjectCreated:Copy' | 'ObjectCreated:CompleteMultipartUpload';
  readonly bucket: string;
  readonly key: string;
  readonly bytes: number;
  readonly etag: string;
  readonly atMs: number;
  readonly requestId: string;
}
