import { createHash } from 'node:crypto';
import { AppError, type ErrorDetails } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { decodeHeaderLength, decodeSafetensorsHeader, lengthBytes } from '../model/safetensors.ts';
import { blockRows, type PageLatents } from '../ports.ts';
import { type PageShape, pageBytes, pageFloats } from './page-shape.ts';

/**
 * The stored form of a page: a safetensors file of one tensor.
 *
 * | bytes          | content                                                                                       |
 * |----------------|-----------------------------------------------------------------------------------------------|
 * | 8              | u64 little-endian length of the header                                                        |
 * | header         | JSON: `__metadata__` {version "1", name, sha256 of the payload}, `latents` F32 [layers, 256, width]; spaces up to a multiple of 8 |
 * | payload        | the page's float32 values, little-endian, layer by layer                                      |
 *
 * F1 The head (length and header) is a function of name, shape and sha256 alone, and is read only in exactly the form
 *    in which it is written: whatever bit of a page's file is changed, it does not decode.
 * F2 All files of one shape have the same length.
 * F3 A decoded page owns its memory: one aligned buffer, of just its bytes.
 *
 * Float32 arrays are little-endian on every machine the runtime has a build for, so values go in and out untouched.
 */

const fileVersion = '1';
const tensorName = 'latents';
/** What a sha256 is measured by when only the length of the head is wanted. */
const anyDigest = '0'.repeat(64);

/** Whose page a file is expected to be. */
export interface PageIdentity {
  readonly name: string;
  readonly shape: PageShape;
}

function buildHead({ name, shape }: PageIdentity, payloadSha256: string): Uint8Array {
  const header = {
    __metadata__: { version: fileVersion, name, sha256: payloadSha256 },
    [tensorName]: {
      dtype: 'F32',
      shape: [shape.layers, blockRows, shape.latentWidth],
      data_offsets: [0, pageBytes(shape)],
    },
  };
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(Math.ceil((lengthBytes + json.byteLength) / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.byteLength - lengthBytes));
  json.copy(head, lengthBytes);
  return head;
}

/** Bytes of the head of a page's file; its payload follows, `pageBytes` long. */
export function pageHeadBytes(identity: PageIdentity): number {
  return buildHead(identity, anyDigest).byteLength;
}

/** Bytes of a page's whole file: equal for all pages of a shape whose names have one length (F2). */
export function pageFileBytes(identity: PageIdentity): number {
  return pageHeadBytes(identity) + pageBytes(identity.shape);
}

/** The file of a page in two parts, the second a view of `latents`. Throws `bug.invariant` for latents of another shape. */
export function encodePage(
  identity: PageIdentity,
  latents: PageLatents,
): readonly [head: Uint8Array, payload: Uint8Array] {
  const wanted = pageFloats(identity.shape);
  invariant(latents.length === wanted, `page ${identity.name} has ${latents.length} values, its shape ${wanted}`);
  const payload = bytesOf(latents);
  return [buildHead(identity, sha256Of(payload)), payload];
}

/**
 * The page of a whole file.
 *
 * @param file name for messages
 * Throws `corrupt.safetensors` for a file that is cut short, has another form, shape or name, `corrupt.version` for a
 * version that is not known, `corrupt.checksum` for a payload that is not the one written.
 */
export function decodePage(bytes: Uint8Array, identity: PageIdentity, file: string): PageLatents {
  const headBytes = pageHeadBytes(identity);
  const payloadSha256 = decodePageHead(bytes.subarray(0, headBytes), bytes.byteLength, identity, file);
  const latents = new Float32Array(pageFloats(identity.shape));
  bytesOf(latents).set(bytes.subarray(headBytes));
  checkPagePayload(latents, payloadSha256, file);
  return latents;
}

/**
 * The sha256 of the payload, from the first `pageHeadBytes` bytes of a file (or all, when it is shorter).
 *
 * @param fileBytes of the whole file
 * Throws as `decodePage`, but for the payload.
 */
export function decodePageHead(head: Uint8Array, fileBytes: number, identity: PageIdentity, file: string): string {
  const jsonBytes = decodeHeaderLength(head, fileBytes, file);
  const json = head.subarray(lengthBytes, lengthBytes + jsonBytes);
  if (json.byteLength < jsonBytes) {
    const what = `the header has ${jsonBytes} bytes, a page's ${head.byteLength - lengthBytes}`;
    throw corrupt(file, what, { headerBytes: jsonBytes });
  }
  const { tensors } = decodeSafetensorsHeader(json, fileBytes, file);
  const { version, name, sha256 } = decodeMetadata(json);
  if (version !== fileVersion) {
    const what = `page file version ${JSON.stringify(version)} is unknown, this quire reads ${fileVersion}`;
    throw new AppError('corrupt.version', `${file}: ${what}`, { details: { file } });
  }
  if (name !== identity.name) throw corrupt(file, `holds page ${JSON.stringify(name)}, not ${identity.name}`, {});
  const wantedShape = JSON.stringify([identity.shape.layers, blockRows, identity.shape.latentWidth]);
  const shape = JSON.stringify(tensors.get(tensorName)?.shape);
  if (shape !== wantedShape)
    throw corrupt(file, `tensor ${tensorName} has the shape ${shape}, a page ${wantedShape}`, {});
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw corrupt(file, `the payload's sha256 is ${JSON.stringify(sha256)}`, {});
  }
  if (Buffer.compare(head, buildHead(identity, sha256)) !== 0) {
    throw corrupt(file, 'the header is not in the form in which pages are written', {});
  }
  return sha256;
}

/** Throws `corrupt.checksum` for a payload with another sha256 than its head says. */
export function checkPagePayload(latents: PageLatents, payloadSha256: string, file: string): void {
  const found = sha256Of(bytesOf(latents));
  if (found === payloadSha256) return;
  const what = `the payload has the sha256 ${found}, its header says ${payloadSha256}`;
  throw new AppError('corrupt.checksum', `${file}: ${what}`, { details: { file } });
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The bytes of a page, without copying. */
function bytesOf(latents: Float32Array): Uint8Array {
  return new Uint8Array(latents.buffer, latents.byteOffset, latents.byteLength);
}

/** Of a header that parsed as JSON object; fields it lacks are undefined. */
function decodeMetadata(json: Uint8Array): Readonly<Record<string, unknown>> {
  const header = JSON.parse(new TextDecoder().decode(json)) as { readonly __metadata__?: unknown };
  const metadata = header.__metadata__;
  return typeof metadata === 'object' && metadata !== null ? (metadata as Readonly<Record<string, unknown>>) : {};
}

function corrupt(file: string, what: string, details: ErrorDetails): AppError {
  return new AppError('corrupt.safetensors', `${file}: ${what}`, { details: { file, ...details } });
}
