import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { AnyPrincipal, Effect, type ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { StoreProcess } from '../../src/storage/access.contract.ts';
import { abortMultipartDays, createOncePattern, expiryRules } from '../../src/storage/lifecycle.contract.ts';
import { buildProcessPolicies } from './process-policies.ts';

/** The bucket: the truth of every file, batch and result. */
export class DataStack extends Stack {
  readonly bucket: Bucket;
  /** For the role of each process. */
  readonly policies: Readonly<Record<StoreProcess, ManagedPolicy>>;

  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const bucket = new Bucket(this, 'Data', {
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      // Off on purpose: a delete must mean gone, and a version kept behind it would outlive the caller's erasure.
      // Nothing here needs versions: what counts is written create-once or by compare-and-swap.
      versioned: false,
      // batches outlive the stack that serves them
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        ...expiryRules.map((rule) => ({
          id: `expire-${rule.id}`,
          prefix: rule.prefix,
          expiration: Duration.days(rule.expireDays),
        })),
        { id: 'abort-multipart', abortIncompleteMultipartUploadAfter: Duration.days(abortMultipartDays) },
      ],
    });
    bucket.addToResourcePolicy(denyReplacingSlots(bucket));

    this.bucket = bucket;
    this.policies = buildProcessPolicies(this, bucket);
    new CfnOutput(this, 'BucketName', { value: bucket.bucketName });
  }
}

/** Fencing kept by the bucket too: a unit log's slot cannot be written without `If-None-Match`, whoever writes. */
function denyReplacingSlots(bucket: Bucket): PolicyStatement {
  return new PolicyStatement({
    sid: 'UnitLogSlotsAreCreatedOnce',
    effect: Effect.DENY,
    principals: [new AnyPrincipal()],
    actions: ['s3:PutObject'],
    resources: [bucket.arnForObjects(createOncePattern)],
    conditions: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
  });
}
