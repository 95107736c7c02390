import { Effect, ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { objectAccess, type StoreProcess, storeProcesses } from '../../src/storage/access.contract.ts';

/** One policy a process, for the role it runs under: the objects that its code reads, writes and deletes, and no others. */
export function buildProcessPolicies(scope: Construct, bucket: Bucket): Readonly<Record<StoreProcess, ManagedPolicy>> {
  const policies = storeProcesses.map((process) => {
    const { read, write, delete: removed } = objectAccess[process];
    const allow = (actions: readonly string[], patterns: readonly string[]): PolicyStatement =>
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: [...actions],
        resources: patterns.map((pattern) => bucket.arnForObjects(pattern)),
      });
    const policy = new ManagedPolicy(scope, `${process}Access`, {
      description: `quire: what the process ${process} may do in the bucket`,
      statements: [
        // without it an object that is not there is answered 403, and the code could not tell absence from refusal
        new PolicyStatement({ effect: Effect.ALLOW, actions: ['s3:ListBucket'], resources: [bucket.bucketArn] }),
        allow(['s3:GetObject'], read),
        allow(['s3:PutObject', 's3:AbortMultipartUpload'], write),
        allow(['s3:DeleteObject'], removed),
      ],
    });
    return [process, policy] as const;
  });
  return Object.fromEntries(policies) as Record<StoreProcess, ManagedPolicy>;
}
