import { emptyResponse, type Route, xmlResponse } from '../exchange.ts';
import { notImplemented, S3Error } from '../s3-error.ts';
import { parseXml } from '../xml.ts';

const maxXmlBytes = 64 * 1024;

export const listBuckets: Route = async (_request, { store }) => {
  const buckets = await store.listBuckets();
  return xmlResponse([
    'ListAllMyBucketsResult',
    [
      ['Owner', [['ID', 'quire']]],
      [
        'Buckets',
        buckets.map(({ name, createdMs }) => [
          'Bucket',
          [
            ['Name', name],
            ['CreationDate', new Date(createdMs).toISOString()],
          ],
        ]),
      ],
    ],
  ]);
};

export const createBucket: Route = async ({ bucket, body }, { store }) => {
  const configuration = await body.text(maxXmlBytes);
  // the region asked for makes no difference, anything else would
  const unknown =
    configuration === ''
      ? undefined
      : parseXml(configuration).children.find(({ name }) => name !== 'LocationConstraint');
  if (unknown !== undefined) throw notImplemented(`${unknown.name} of a bucket`);
  if (await store.createBucket(bucket)) return emptyResponse(200, { location: `/${bucket}` });
  throw new S3Error('BucketAlreadyOwnedByYou', 'the bucket exists already', { BucketName: bucket });
};

export const headBucket: Route = async ({ bucket }, { store }) => {
  store.checkBucket(bucket);
  return emptyResponse(200);
};

/** Empty is S3's name for its first region. */
export const getBucketLocation: Route = async ({ bucket }, { store }) => {
  store.checkBucket(bucket);
  return xmlResponse(['LocationConstraint', '']);
};
