import { compileDeleteCondition } from '../conditions.ts';
import { emptyResponse, type Route, xmlResponse } from '../exchange.ts';
import { notImplemented, S3Error } from '../s3-error.ts';
import { findChildText, parseXml, type XmlElement, type XmlNode } from '../xml.ts';

const maxKeys = 1000;
const maxXmlBytes = 8 * 1024 * 1024;
/** Deletes that wait for the disk at once. */
const together = 16;

export const deleteObject: Route = async ({ bucket, key, header }, { store }) => {
  await store.delete(bucket, key, compileDeleteCondition(header));
  return emptyResponse(204);
};

export const deleteObjects: Route = async ({ bucket, body }, { store }) => {
  store.checkBucket(bucket);
  const root = parseXml(await body.text(maxXmlBytes));
  const objects = root.children.filter((child) => child.name === 'Object');
  if (root.name !== 'Delete' || objects.length === 0 || objects.length > maxKeys) {
    throw new S3Error('MalformedXML', `a Delete element with 1 to ${maxKeys} objects is expected`);
  }
  const keys = objects.map(readKey);
  const isQuiet = findChildText(root, 'Quiet')?.trim() === 'true';
  const results: (XmlNode | undefined)[] = [];
  for (let start = 0; start < keys.length; start += together) {
    const deleted = keys.slice(start, start + together).map(async (key): Promise<XmlNode | undefined> => {
      try {
        await store.delete(bucket, key, () => undefined);
        return isQuiet ? undefined : ['Deleted', [['Key', key]]];
      } catch (error) {
        return writeFailure(key, error);
      }
    });
    results.push(...(await Promise.all(deleted)));
  }
  return xmlResponse(['DeleteResult', results]);
};

function readKey(object: XmlElement): string {
  const key = findChildText(object, 'Key');
  if (key === undefined) throw new S3Error('MalformedXML', 'an Object element has a Key');
  const other = object.children.find((child) => child.name !== 'Key');
  if (other !== undefined) throw notImplemented(`${other.name} of an object to delete`);
  return key;
}

function writeFailure(key: string, error: unknown): XmlNode {
  if (!(error instanceof S3Error)) throw error;
  return [
    'Error',
    [
      ['Key', key],
      ['Code', error.code],
      ['Message', error.message],
    ],
  ];
}
