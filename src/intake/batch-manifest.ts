import { AppError } from '../base/errors.ts';
import type { BatchUsage } from '../batch/index.ts';

/** What a batch's own manifest says of one line. */
export interface ManifestLine {
  readonly custom_id: string;
  readonly outcome: 'completed' | 'failed';
  readonly sha256: string;
  readonly bytes: number;
  readonly usage: BatchUsage | null;
}

/** @throws `corrupt.version`, `corrupt.record` */
export function parseBatchManifest(body: Uint8Array, key: string): readonly ManifestLine[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (cause) {
    throw new AppError('corrupt.record', 'stored manifest is not JSON', { details: { key }, cause });
  }
  const { version, lines } = (value ?? {}) as { version?: unknown; lines?: unknown };
  if (version !== 1) {
    const message = `stored manifest has version ${JSON.stringify(version) ?? 'none'}; this program knows 1`;
    throw new AppError('corrupt.version', message, { details: { key } });
  }
  if (Array.isArray(lines) && lines.every(isManifestLine)) return lines;
  throw new AppError('corrupt.record', 'stored manifest lacks its lines', { details: { key } });
}

function isManifestLine(value: unknown): value is ManifestLine {
  if (typeof value !== 'object' || value === null) return false;
  const { custom_id, outcome, sha256, bytes } = value as Partial<Record<keyof ManifestLine, unknown>>;
  const isKnown = outcome === 'completed' || outcome === 'failed';
  return typeof custom_id === 'string' && isKnown && typeof sha256 === 'string' && Number.isSafeInteger(bytes);
}
