import { type Route, readIntegerParameter, type S3Context, xmlResponse } from '../exchange.ts';
import { decodeToken, encodeToken, type ListingStart, readKeyPage } from '../listing.ts';
import type { ObjectMeta } from '../object-file.ts';
import { S3Error } from '../s3-error.ts';
import { encodePath, findParameter } from '../uri.ts';
import type { XmlNode } from '../xml.ts';

const maxKeysLimit = 1000;
/** Object files opened at once for their sizes. */
const together = 32;

export const listParameters = [
  'prefix',
  'delimiter',
  'start-after',
  'continuation-token',
  'max-keys',
  'encoding-type',
  'fetch-owner',
] as const;

export const listObjects: Route = async ({ bucket, query }, context) => {
  if (findParameter(query, 'list-type') !== '2') throw new S3Error('InvalidArgument', 'list-type must be 2');
  const text = (name: (typeof listParameters)[number]): string => findParameter(query, name) ?? '';
  const encoding = text('encoding-type');
  if (encoding !== '' && encoding !== 'url') throw new S3Error('InvalidArgument', 'encoding-type must be url');
  const encode = encoding === 'url' ? encodePath : (key: string) => key;
  const maxKeys = readIntegerParameter(query, 'max-keys', { fallback: maxKeysLimit, min: 0, max: 2 ** 31 });
  const listing = { prefix: text('prefix'), delimiter: text('delimiter'), maxKeys: Math.min(maxKeys, maxKeysLimit) };
  const token = text('continuation-token');
  const start: ListingStart = token === '' ? { after: text('start-after'), skipFolder: null } : decodeToken(token);
  const page = await readKeyPage(context.store.openCursor(bucket, listing.prefix, start.after), listing, start);
  const objects = await readMetas(context, bucket, page.keys);
  return xmlResponse([
    'ListBucketResult',
    [
      ['Name', bucket],
      ['Prefix', encode(listing.prefix)],
      listing.delimiter === '' ? undefined : ['Delimiter', encode(listing.delimiter)],
      ['MaxKeys', maxKeys],
      encoding === '' ? undefined : ['EncodingType', encoding],
      ['KeyCount', objects.length + page.folders.length],
      ['IsTruncated', page.next !== null],
      token === '' ? undefined : ['ContinuationToken', token],
      page.next === null ? undefined : ['NextContinuationToken', encodeToken(page.next)],
      text('start-after') === '' ? undefined : ['StartAfter', encode(text('start-after'))],
      ...objects.map((meta) => writeObject(meta, encode)),
      ...page.folders.map((folder): XmlNode => ['CommonPrefixes', [['Prefix', encode(folder)]]]),
    ],
  ]);
};

/** An object that was deleted since its name was read is left out. */
async function readMetas(context: S3Context, bucket: string, keys: readonly string[]): Promise<readonly ObjectMeta[]> {
  const metas: ObjectMeta[] = [];
  for (let start = 0; start < keys.length; start += together) {
    const found = await Promise.all(keys.slice(start, start + together).map((key) => context.store.find(bucket, key)));
    for (const meta of found) if (meta !== undefined) metas.push(meta);
  }
  return metas;
}

function writeObject(meta: ObjectMeta, encode: (key: string) => string): XmlNode {
  return [
    'Contents',
    [
      ['Key', encode(meta.key)],
      ['LastModified', new Date(meta.lastModifiedMs).toISOString()],
      ['ETag', `"${meta.etag}"`],
      meta.checksum === null ? undefined : ['ChecksumAlgorithm', meta.checksum.algorithm],
      ['Size', meta.bytes],
      ['StorageClass', 'STANDARD'],
    ],
  ];
}
