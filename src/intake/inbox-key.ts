import { prefixes } from '../storage/index.ts';

/** What an object of the inbox is to us. `folder` is its key up to and including the last slash. */
export type InboxObject =
  | { readonly type: 'document'; readonly folder: string; readonly name: string }
  | { readonly type: 'template'; readonly folder: string }
  | { readonly type: 'manifest'; readonly folder: string }
  /** `of` is the name of the document it speaks of; empty: the folder's manifest. */
  | { readonly type: 'ready'; readonly folder: string; readonly of: string };

export const templateName = 'analysis.json';
export const manifestName = 'batch.jsonl';
export const readySuffix = '.ready';

/** undefined for keys outside the inbox, and for the empty objects some programs put in the place of folders. */
export function parseInboxKey(key: string): InboxObject | undefined {
  if (!key.startsWith(prefixes.inbox)) return undefined;
  const cut = key.lastIndexOf('/') + 1;
  const [folder, name] = [key.slice(0, cut), key.slice(cut)];
  if (name === '') return undefined;
  if (name === templateName) return { type: 'template', folder };
  if (name === manifestName) return { type: 'manifest', folder };
  if (name.endsWith(readySuffix)) return { type: 'ready', folder, of: name.slice(0, -readySuffix.length) };
  return { type: 'document', folder, name };
}

/** The objects we write about one dropped object. */
export interface OutputKeys {
  readonly receipt: string;
  readonly status: string;
  readonly results: string;
  readonly manifest: string;
}

export function outputKeysOf(key: string): OutputKeys {
  const rest = key.slice(prefixes.inbox.length);
  return {
    receipt: `${prefixes.receipts}${rest}.json`,
    status: `${prefixes.status}${rest}.json`,
    results: `${prefixes.outbox}${rest}/results.jsonl`,
    manifest: `${prefixes.outbox}${rest}/manifest.json`,
  };
}
