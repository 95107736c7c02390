import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream/promises';
import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError, isAppError, toAppError } from '../base/errors.ts';

export interface UploadForm<Stored> {
  readonly stored: Stored;
  /** The text parts by name, before or after the file. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface UploadLimits {
  readonly maxFileBytes: number;
  readonly drainMs: number;
}

/** Where the file's bytes go while the form is read, and how to undo it when the form turns out wrong. */
export interface UploadSink<Stored> {
  readonly store: (filename: string, bytes: AsyncIterable<Uint8Array>) => Promise<Stored>;
  readonly drop: (stored: Stored) => Promise<void>;
}

/** Part headers, boundaries and the few text fields around the file. */
const formOverheadBytes = 1 << 20;

/**
 * Reads an upload form as it arrives. The stock client sends the file before the fields that say what it is, without
 * a content length: so the bytes go to `sink` at once, and what they are is decided when the form ends.
 *
 * A form that is refused, or whose sink fails, is read to its end or for `drainMs`, so that its sender hears why.
 * @throws `input.*` for a broken form; what `sink` throws
 */
export async function readUploadForm<Stored>(
  request: FastifyRequest,
  reply: FastifyReply,
  limits: UploadLimits,
  sink: UploadSink<Stored>,
): Promise<UploadForm<Stored>> {
  try {
    refuseKnownTooLarge(request, limits.maxFileBytes);
    return await readParts(request, sink);
  } catch (error) {
    if (!(await drain(request.raw, limits.drainMs))) reply.header('connection', 'close');
    throw error;
  }
}

function refuseKnownTooLarge(request: FastifyRequest, maxFileBytes: number): void {
  const contentBytes = Number(request.headers['content-length'] ?? 0);
  if (contentBytes <= maxFileBytes + formOverheadBytes) return;
  throw new AppError('input.too-large', `upload of ${contentBytes} bytes; at most ${maxFileBytes} are allowed`, {
    param: 'file',
    details: { contentBytes, maxFileBytes },
  });
}

async function readParts<Stored>(request: FastifyRequest, sink: UploadSink<Stored>): Promise<UploadForm<Stored>> {
  const fields: Record<string, string> = Object.create(null);
  let file: { readonly stored: Stored } | undefined;
  try {
    for await (const part of request.parts()) {
      if (part.type === 'field') fields[part.fieldname] = readField(part, fields);
      else {
        requireFilePart(part, file !== undefined);
        file = { stored: await storePart(part, sink) };
      }
    }
  } catch (error) {
    if (file !== undefined) await sink.drop(file.stored);
    throw isAppError(error) || isFrameworkError(error) ? error : brokenForm(error);
  }
  if (file === undefined) throw new AppError('input.invalid-request', 'missing field: "file"', { param: 'file' });
  return { stored: file.stored, fields };
}

async function storePart<Stored>(part: MultipartFile, { store }: UploadSink<Stored>): Promise<Stored> {
  try {
    // leaving the loop early must not destroy the part: the parser would never go on to the next
    return await store(part.filename, part.file.iterator({ destroyOnReturn: false }));
  } catch (error) {
    // a form that ends in the middle breaks the stream of its bytes, whatever the reader made of that
    throw part.file.errored === null ? toAppError(error) : brokenForm(part.file.errored);
  }
}

/** The parser's own refusals name what is wrong; see the error handler. */
const isFrameworkError = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('FST_');

const brokenForm = (cause: unknown): AppError =>
  new AppError('input.invalid-request', 'the upload form ends in the middle or is no multipart form', { cause });

function readField(part: Exclude<Multipart, MultipartFile>, fields: Readonly<Record<string, string>>): string {
  const { fieldname, value, valueTruncated } = part;
  if (typeof value !== 'string' || valueTruncated)
    throw new AppError('input.invalid-request', `field ${fieldname} is not a short text`, { param: fieldname });
  if (fieldname in fields)
    throw new AppError('input.invalid-request', `field ${fieldname} is given twice`, { param: fieldname });
  return value;
}

function requireFilePart(part: MultipartFile, hasFile: boolean): void {
  if (part.fieldname !== 'file') {
    const name = part.fieldname.slice(0, 80);
    throw new AppError('input.unknown-field', `unknown field: ${JSON.stringify(name)}; the file belongs in "file"`, {
      param: name,
    });
  }
  if (hasFile) throw new AppError('input.invalid-request', 'more than one file in one upload', { param: 'file' });
}

/** Reads and drops the rest of a request; false when it did not end in time. */
async function drain(raw: IncomingMessage, drainMs: number): Promise<boolean> {
  raw.unpipe();
  raw.resume();
  await finished(raw, { writable: false, signal: AbortSignal.timeout(drainMs) }).catch(() => {});
  return raw.complete;
}
