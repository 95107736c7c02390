import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectAccess, type StoreProcess, storeProcesses } from '../../src/storage/access.contract.ts';
import { keys, prefixes } from '../../src/storage/keys.contract.ts';
import { expiryRules } from '../../src/storage/lifecycle.contract.ts';

interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  readonly Properties: Readonly<Record<string, unknown>>;
}

interface Statement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: unknown;
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

let outdir = '';
let resources: readonly Resource[] = [];

const find = (type: string): Resource => {
  const found = resources.filter((resource) => resource.Type === type);
  expect(found, type).toHaveLength(1);
  return found[0] as Resource;
};

const statements = (): readonly Statement[] => {
  const { PolicyDocument } = find('AWS::S3::BucketPolicy').Properties;
  return (PolicyDocument as { Statement: readonly Statement[] }).Statement;
};

describe('DataStack', () => {
  beforeAll(async () => {
    if (!existsSync(new URL('../../infra/node_modules/aws-cdk-lib', import.meta.url)))
      throw new Error('the CDK is not installed: run "npm ci" in the folder infra first');
    const { buildApp } = await import('../../infra/build-app.ts');
    outdir = await mkdtemp(join(tmpdir(), 'quire-cdk-'));
    const { template } = buildApp({ outdir }).synth().getStackByName('quire-data');
    resources = Object.values((template as { Resources: Record<string, Resource> }).Resources);
  }, 60_000);

  afterAll(async () => {
    if (outdir !== '') await rm(outdir, { recursive: true });
  });

  it('keeps one bucket, encrypted, private and owned by the account, when the stack goes', () => {
    const bucket = find('AWS::S3::Bucket');
    expect(bucket.DeletionPolicy).toBe('Retain');
    expect(bucket.Properties['BucketEncryption']).toEqual({
      ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
    });
    expect(bucket.Properties['PublicAccessBlockConfiguration']).toEqual({
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    });
    expect(bucket.Properties['OwnershipControls']).toEqual({ Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] });
  });

  it('keeps no versions, so that a delete means gone', () => {
    expect(find('AWS::S3::Bucket').Properties['VersioningConfiguration']).toBeUndefined();
  });

  it('expires exactly the prefixes of the lifecycle contract and drops unfinished uploads', () => {
    const { Rules } = find('AWS::S3::Bucket').Properties['LifecycleConfiguration'] as { Rules: readonly unknown[] };
    expect(Rules).toEqual([
      ...expiryRules.map((rule) => ({
        Id: `expire-${rule.id}`,
        Prefix: rule.prefix,
        ExpirationInDays: rule.expireDays,
        Status: 'Enabled',
      })),
      { Id: 'abort-multipart', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: 'Enabled' },
    ]);
  });

  it('never expires files, batches, the batch index or open markers', () => {
    const kept = [
      keys.fileContent('default', 'file-1'),
      keys.fileMeta('default', 'file-1'),
      keys.batch('default', 'batch_1'),
      keys.unitSlot('default', 'batch_1', 'u000000', 0),
      keys.output('default', 'batch_1'),
      keys.batchIndex(0, 'batch_1'),
      keys.open('batch_1'),
      `${prefixes.inbox}lease.md`,
      `${prefixes.outbox}lease.md/results.jsonl`,
    ];
    for (const key of kept) expect(expiryRules.filter(({ prefix }) => key.startsWith(prefix))).toEqual([]);
    expect(keys.createdBatch('default', 'f').startsWith(expiryRules[0]?.prefix ?? '?')).toBe(true);
  });

  it('refuses requests without TLS 1.2', () => {
    const denials = statements().filter(({ Effect }) => Effect === 'Deny');
    expect(denials).toContainEqual(
      expect.objectContaining({ Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
    );
    expect(denials).toContainEqual(
      expect.objectContaining({ Action: 's3:*', Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } } }),
    );
  });

  it('gives each process a policy of its own, with exactly the objects of the access contract', () => {
    const policies = resources.filter(({ Type }) => Type === 'AWS::IAM::ManagedPolicy');
    expect(policies).toHaveLength(storeProcesses.length);
    const patternsOf = (process: StoreProcess, action: string): readonly string[] => {
      const [policy] = policies.filter(({ Properties }) => String(Properties['Description']).includes(` ${process} `));
      const { Statement: found = [] } = (policy?.Properties['PolicyDocument'] ?? {}) as { Statement?: Statement[] };
      const statement = found.find(({ Effect, Action }) => Effect === 'Allow' && [Action].flat().includes(action));
      return [statement?.Resource].flat().map((resource) => /"\/([^"]*)"/.exec(JSON.stringify(resource))?.[1] ?? '');
    };
    for (const process of storeProcesses) {
      expect(patternsOf(process, 's3:GetObject')).toEqual(objectAccess[process].read);
      expect(patternsOf(process, 's3:PutObject')).toEqual(objectAccess[process].write);
      expect(patternsOf(process, 's3:DeleteObject')).toEqual(objectAccess[process].delete);
    }
  });

  it('refuses to replace the slot of a unit log', () => {
    const statement = statements().find(({ Sid }) => Sid === 'UnitLogSlotsAreCreatedOnce');
    expect(statement).toMatchObject({
      Effect: 'Deny',
      Action: 's3:PutObject',
      Condition: { Null: { 's3:if-none-match': 'true' }, Bool: { 's3:ObjectCreationOperation': 'true' } },
    });
    const pattern = /"\/(v1\/[^"]*)"/.exec(JSON.stringify(statement?.Resource))?.[1] ?? '';
    const matches = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
    expect(keys.unitSlot('default', 'batch_1', 'u000000', 7)).toMatch(matches);
    expect(keys.batch('default', 'batch_1')).not.toMatch(matches);
  });
});
