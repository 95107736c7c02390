import { canonicalJson } from '../base/canonical-json.ts';
import { sha256Hex } from '../base/hash.ts';
import { unitIdOf } from '../base/ids.ts';
import type { Line, Plan } from './records.schema.ts';

/**
 * Lines → units. Pure, and a function of the lines and the batch id alone, so planning twice gives one plan.
 *
 * P1. Every line is in exactly one unit.
 * P2. Units come in order of first appearance; lines of a unit in file order.
 * P3. Lines of one unit share its document prefix, or they are short and share nothing.
 */

/** A worker reads a document once for this many questions; more would leave other workers idle. */
const maxSharedLines = 256;
/** Short lines are cheap, so a unit's own costs (claim, segment, seal) are spread over many. */
const maxPackedLines = 64;
/** Long lines that share nothing still count as work of their own: about 64k tokens a unit. */
const maxPackedBytes = 256 * 1024;
/** A shorter prefix is below one 256-token page of the cache, at about 4 characters a token. */
const minSharedCharacters = 1_024;

/** What planning needs to know of a line, so that bodies need not stay in memory. */
export interface LineOutline {
  readonly index: number;
  readonly seed: number | null;
  /** Digest of what other lines may share with this one; null when there is nothing worth sharing. */
  readonly prefix: string | null;
  readonly bodyBytes: number;
}

export function outlineLine(line: Line, bodyBytes: number): LineOutline {
  const { seed } = line.body as { seed?: unknown };
  return {
    index: line.index,
    seed: Number.isSafeInteger(seed) ? (seed as number) : null,
    prefix: prefixOf(line),
    bodyBytes,
  };
}

function prefixOf(line: Line): string | null {
  switch (line.url) {
    case '/v1/analyses':
      return analysisPrefix(line);
    case '/v1/chat/completions':
      return chatPrefix(line);
    // each input is read alone, from its first token
    case '/v1/embeddings':
      return null;
  }
}

/** Bodies are not validated yet: whatever does not look like a prefix shares nothing. */
function analysisPrefix({ body }: Line): string | null {
  const { model, documents } = body as { model?: unknown; documents?: unknown };
  if (!Array.isArray(documents) || documents.length === 0) return null;
  return sha256Hex(canonicalJson(['analysis', model ?? null, documents]));
}

function chatPrefix({ body }: Line): string | null {
  const { model, messages, tools } = body as { model?: unknown; messages?: unknown; tools?: unknown };
  if (!Array.isArray(messages) || messages.length < 2) return null;
  const last: unknown = messages.at(-1);
  if (typeof last !== 'object' || last === null || !('role' in last) || last.role !== 'user') return null;
  const shared = canonicalJson(['chat', model ?? null, tools ?? null, messages.slice(0, -1)]);
  return shared.length < minSharedCharacters ? null : sha256Hex(shared);
}

interface OpenUnit {
  readonly prefix: string | null;
  readonly lines: { readonly index: number; readonly seed: number }[];
  bodyBytes: number;
}

/** Outlines in file order → the plan. */
export function planUnits(batchId: string, outlines: Iterable<LineOutline>): Plan {
  const units: OpenUnit[] = [];
  const openByPrefix = new Map<string | null, OpenUnit>();
  for (const outline of outlines) {
    let unit = openByPrefix.get(outline.prefix);
    if (unit === undefined || isFull(unit, outline)) {
      unit = { prefix: outline.prefix, lines: [], bodyBytes: 0 };
      units.push(unit);
      openByPrefix.set(outline.prefix, unit);
    }
    unit.lines.push({ index: outline.index, seed: outline.seed ?? derivedSeed(batchId, outline.index) });
    unit.bodyBytes += outline.bodyBytes;
  }
  return {
    version: 1,
    batch_id: batchId,
    units: units.map(({ prefix, lines }, index) => ({ id: unitIdOf(index), shared_prefix: prefix, lines })),
  };
}

function isFull(unit: OpenUnit, next: LineOutline): boolean {
  if (unit.prefix !== null) return unit.lines.length >= maxSharedLines;
  return unit.lines.length >= maxPackedLines || unit.bodyBytes + next.bodyBytes > maxPackedBytes;
}

/** 31 bits of a digest: the same line of the same batch always gets the same seed. */
export function derivedSeed(batchId: string, index: number): number {
  return Number.parseInt(sha256Hex(`${batchId}:${index}`).slice(0, 8), 16) & 0x7fff_ffff;
}
