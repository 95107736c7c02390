import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { compareKeys } from './key-order.contract.ts';
import type { ListedObject, Listing, ListOptions } from './object-store.ts';
import { stripQuotes } from './s3-head.ts';

const maxPageEntries = 1000;

/** One page of `ListObjectsV2`. SDK errors come out as they are. */
export async function listPage(
  client: S3Client,
  bucket: string,
  prefix: string,
  { after, limit = maxPageEntries, folders = false }: ListOptions,
): Promise<Listing> {
  // after "a/" S3 names the folder a/ once more, since keys in it follow: one entry more makes up for the one dropped
  const MaxKeys = Math.min(limit + (folders && after !== undefined ? 1 : 0), maxPageEntries);
  const answer = await client.send(
    new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      MaxKeys,
      // keys may hold characters that XML cannot
      EncodingType: 'url',
      ...(after === undefined ? {} : { StartAfter: after }),
      ...(folders ? { Delimiter: '/' } : {}),
    }),
  );
  const entries: (ListedObject | string)[] = [];
  for (const found of answer.Contents ?? []) {
    entries.push({
      key: decodeKey(found.Key ?? ''),
      bytes: found.Size ?? 0,
      etag: stripQuotes(found.ETag),
      lastModifiedMs: found.LastModified?.getTime() ?? 0,
    });
  }
  for (const found of answer.CommonPrefixes ?? []) entries.push(decodeKey(found.Prefix ?? ''));
  entries.sort((a, b) => compareKeys(nameOf(a), nameOf(b)));
  const last = entries.at(-1);
  const fresh = entries.filter((entry) => after === undefined || compareKeys(nameOf(entry), after) > 0);
  const page = fresh.slice(0, limit);
  const lastOfPage = page.at(-1) ?? last;
  const isMore = answer.IsTruncated === true || page.length < fresh.length;
  return {
    objects: page.filter((entry) => typeof entry !== 'string'),
    folders: page.filter((entry) => typeof entry === 'string'),
    next: isMore && lastOfPage !== undefined ? nameOf(lastOfPage) : null,
  };
}

function nameOf(entry: ListedObject | string): string {
  return typeof entry === 'string' ? entry : entry.key;
}

/** `encoding-type=url` is form encoding: a plus is a space. */
function decodeKey(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}
