import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { AppError } from '../base/errors.ts';

export function savePrivateJson(path: string, value: unknown): void {
  savePrivateText(path, `${JSON.stringify(value)}\n`);
}

/** Whole or not at all, readable by its owner only: written beside and renamed. */
export function savePrivateText(path: string, text: string): void {
  const beside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(beside, text, { mode: 0o600, flag: 'wx', flush: true });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** Undefined when there is no such file; throws `corrupt.record` when it is not JSON. */
export function loadJson(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('corrupt.record', `${path} is not json`, { cause: error });
  }
}
