import { randomBytes } from 'node:crypto';
import type { Brand } from './brand.ts';
import { AppError } from './errors.ts';

export type FileId = Brand<string, 'FileId'>;
export type BatchId = Brand<string, 'BatchId'>;
export type UnitId = Brand<string, 'UnitId'>;
export type TenantId = Brand<string, 'TenantId'>;

/** The tenant of a single-tenant installation. */
export const defaultTenant = 'default' as TenantId;

const token = (): string => randomBytes(12).toString('hex');

export const newFileId = (): FileId => `file-${token()}` as FileId;
export const newBatchId = (): BatchId => `batch_${token()}` as BatchId;
export const newNonce = (): string => randomBytes(16).toString('hex');

function parser<Id extends string>(what: string, pattern: RegExp): (text: string) => Id {
  return (text) => {
    if (pattern.test(text)) return text as Id;
    throw new AppError('input.not-found', `no such ${what}: ${JSON.stringify(text.slice(0, 80))}`, {
      param: `${what}_id`,
    });
  };
}

/** Throws `input.not-found` for text that cannot be the id of anything, so that ids never become odd keys. */
export const parseFileId = parser<FileId>('file', /^file-[0-9a-f]{24}$/);
export const parseBatchId = parser<BatchId>('batch', /^batch_[0-9a-f]{24}$/);

/** Units are numbered in plan order; the width keeps key order equal to plan order. */
export const unitIdOf = (index: number): UnitId => `u${String(index).padStart(6, '0')}` as UnitId;
