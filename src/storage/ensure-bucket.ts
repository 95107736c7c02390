import { CreateBucketCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import { buildS3Client, describeEndpoint, type S3Options } from './s3-client.ts';
import { isNamed, statusOf, toStoreError } from './s3-errors.ts';

/** Creates the bucket unless it is there. For stores of our own: in production infra creates it, with its rules. */
export async function ensureBucket(options: S3Options): Promise<void> {
  const client = buildS3Client(options);
  const { bucket } = options;
  const toError = (error: unknown): Error =>
    toStoreError(error, { operation: 'create-bucket', bucket, endpoint: describeEndpoint(options.endpoint) });
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }));
    return;
  } catch (error) {
    if (statusOf(error) !== 404) throw toError(error);
  }
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    // somebody else was faster
    if (!isNamed(error, 'BucketAlreadyOwnedByYou')) throw toError(error);
  } finally {
    client.destroy();
  }
}
