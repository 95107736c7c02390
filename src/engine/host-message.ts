import type { HostMessage } from './messages.ts';

/** By type: does it carry the id of a request, and which field has the rest? */
const shapes: Readonly<Record<HostMessage['type'], { readonly hasId: boolean; readonly field: string }>> = {
  'engine-ready': { hasId: false, field: 'card' },
  'engine-failed': { hasId: false, field: 'error' },
  'engine-stats': { hasId: false, field: 'stats' },
  'run-start': { hasId: false, field: 'ids' },
  'page-saved': { hasId: false, field: 'page' },
  'page-wanted': { hasId: false, field: 'page' },
  'generate-progress': { hasId: true, field: 'progress' },
  'generate-delta': { hasId: true, field: 'delta' },
  'generate-checkpoint': { hasId: true, field: 'checkpoint' },
  'generate-end': { hasId: true, field: 'result' },
  'embed-end': { hasId: true, field: 'result' },
  'request-failed': { hasId: true, field: 'error' },
};

/**
 * What an engine process said, or undefined for anything that is no message of the protocol. Both ends are one
 * program, so the outline is checked and the rest is believed.
 */
export function parseHostMessage(value: unknown): HostMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const record = value as Readonly<Record<string, unknown>>;
  const { type, id } = record as { readonly type?: unknown; readonly id?: unknown };
  if (typeof type !== 'string' || !Object.hasOwn(shapes, type)) return undefined;
  const { hasId, field } = shapes[type as HostMessage['type']];
  const rest = record[field];
  if ((hasId && typeof id !== 'string') || typeof rest !== 'object' || rest === null) return undefined;
  return value as HostMessage;
}
