import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, extname, normalize, sep } from 'node:path';
import { AppError } from '../base/errors.ts';

export interface NamedFile {
  readonly path: string;
  /** Short and different from all others. */
  readonly name: string;
}

/**
 * Gives every file a short name: its own, or the path as typed where two files have the same.
 * @throws `input.invalid-request` for a file that is named twice
 */
export function nameFiles(paths: readonly string[]): readonly NamedFile[] {
  const typed = paths.map((path) => normalize(path).split(sep).join('/'));
  const twice = typed.find((path, index) => typed.indexOf(path) !== index);
  if (twice !== undefined) throw new AppError('input.invalid-request', `${twice} is named twice`);
  const names = paths.map((path) => basename(path));
  const areDifferent = new Set(names).size === names.length;
  return paths.map((path, index) => ({ path, name: (areDifferent ? names[index] : typed[index]) ?? path }));
}

/** @returns its bytes. @throws `input.not-found`, `input.invalid-request` for folders and empty files */
export async function checkFile(path: string): Promise<number> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') {
      throw new AppError('input.not-found', `no such file: ${path}`, { cause });
    }
    throw new AppError('input.not-found', `${path} cannot be read: ${cause.code ?? cause.message}`, { cause });
  });
  if (found.isDirectory()) {
    throw new AppError('input.invalid-request', `${path} is a folder; name the files in it, for example ${path}/*.md`);
  }
  if (found.size === 0) throw new AppError('input.invalid-request', `${path} is empty`);
  return found.size;
}

/**
 * Finds out before anything is sent what the server would say of every line.
 * @param types extensions that can be read, without a dot; a name without extension counts as text
 * @throws `input.not-found`, `input.media-type`, `input.encoding`, `input.invalid-request`
 */
export async function checkTextFile(path: string, types: readonly string[]): Promise<void> {
  await checkFile(path);
  const type = extname(path).slice(1).toLowerCase();
  if (type !== '' && !types.includes(type)) {
    const allowed = types.map((known) => `.${known}`).join(', ');
    throw new AppError('input.media-type', `${path} is not a text file that can be read: allowed are ${allowed}`);
  }
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let at = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const zero = chunk.indexOf(0);
    if (zero !== -1) throw notText(path, `byte ${at + zero + 1} is zero`);
    decodePart(() => decoder.decode(chunk, { stream: true }), path);
    at += chunk.byteLength;
  }
  decodePart(() => decoder.decode(), path);
}

function decodePart(decode: () => string, path: string): void {
  try {
    decode();
  } catch (cause) {
    throw notText(path, 'its bytes are no UTF-8', cause);
  }
}

const notText = (path: string, reason: string, cause?: unknown): AppError =>
  new AppError('input.encoding', `${path} is not a text file: ${reason}; convert it to UTF-8 text first`, { cause });
