import { sha256Hex } from '../../base/hash.ts';
import { S3Error } from './s3-error.ts';

/**
 * Where an object lies under its bucket's folder.
 *
 *   keys/<segment>/<segment>/<segment>@    one folder for each `/` of the key; the file of the last segment ends in `@`
 *   long/<sha256 of the key>@              keys whose names would be too long for a file system
 *
 * K1  Injective: a segment's bytes outside `a-z 0-9 _ - .` become `%xx`, also upper-case letters and a leading dot, so
 *     names survive file systems that fold case or normalize Unicode, and no segment is `.` or `..`. Empty is `%`.
 * K2  `a` and `a/b` live side by side: a file's name ends in `@`, which no folder's does.
 * K3  The order of keys is the order of a walk that sorts folders by their decoded name plus `/`.
 */
export type KeyPlace = { readonly type: 'path' | 'long'; readonly path: string };

export const keyFolder = 'keys';
export const longFolder = 'long';
const fileMark = '@';
const maxKeyBytes = 1024;
/** File names end at 255 bytes; paths at 1,024 on some systems, of which the data folder takes its part. */
const maxNameLength = 240;
const maxPathLength = 760;

/** Throws `KeyTooLongError` and `InvalidURI`. */
export function checkKeyText(key: string): void {
  if (Buffer.byteLength(key) > maxKeyBytes) {
    throw new S3Error('KeyTooLongError', `the key is longer than ${maxKeyBytes} bytes`, {
      Size: String(Buffer.byteLength(key)),
      MaxSizeAllowed: String(maxKeyBytes),
    });
  }
  if (key === '' || key.includes('\0') || /\p{Surrogate}/u.test(key)) {
    throw new S3Error('InvalidURI', 'the key is empty or contains a NUL character');
  }
}

/** Relative to the bucket's folder. */
export function placeOfKey(key: string): KeyPlace {
  const names = key.split('/').map(encodeSegment);
  const path = `${names.join('/')}${fileMark}`;
  if (path.length > maxPathLength || names.some((name) => name.length > maxNameLength)) {
    return { type: 'long', path: `${longFolder}/${sha256Hex(key)}${fileMark}` };
  }
  return { type: 'path', path: `${keyFolder}/${path}` };
}

/** The folder that holds all keys starting with `prefix` that have a path; undefined when no such path is possible. */
export function folderOfPrefix(prefix: string): string | undefined {
  const names = prefix.split('/').slice(0, -1).map(encodeSegment);
  const path = names.join('/');
  if (path.length > maxPathLength || names.some((name) => name.length > maxNameLength)) return undefined;
  return path === '' ? keyFolder : `${keyFolder}/${path}`;
}

export type DecodedName = { readonly type: 'file' | 'folder'; readonly segment: string };

/** Undefined for names that are not ours: what a file manager or an editor left there. */
export function decodeName(name: string): DecodedName | undefined {
  const type = name.endsWith(fileMark) ? 'file' : 'folder';
  const encoded = type === 'file' ? name.slice(0, -fileMark.length) : name;
  const segment =
    encoded === '%' ? '' : Buffer.from(encoded.replace(/%([0-9a-f]{2})/g, decodeByte), 'latin1').toString();
  return encodeSegment(segment) === encoded ? { type, segment } : undefined;
}

function encodeSegment(segment: string): string {
  if (segment === '') return '%';
  if (/^[a-z0-9_-][a-z0-9._-]*$/.test(segment)) return segment;
  let name = '';
  for (const byte of Buffer.from(segment)) {
    const character = String.fromCharCode(byte);
    const isPlain = /[a-z0-9_-]/.test(character) || (character === '.' && name !== '');
    name += isPlain ? character : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}

function decodeByte(_whole: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}
