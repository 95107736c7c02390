import { readFileSync, writeFileSync } from 'node:fs';

/** `fixed`: must pass. `broken`: is known to fail, for the reason given, and must be promoted when it passes. */
export type RatchetEntry = { readonly state: 'fixed' } | { readonly state: 'broken'; readonly reason: string };

export type Ratchet = Readonly<Record<string, RatchetEntry>>;

const file = new URL('../ratchet.json', import.meta.url);

export function loadRatchet(): Ratchet {
  return JSON.parse(readFileSync(file, 'utf8')) as Ratchet;
}

/** Writes down that a scenario is fixed. */
export function promote(name: string): void {
  const ratchet: Ratchet = { ...loadRatchet(), [name]: { state: 'fixed' } };
  writeFileSync(file, `${JSON.stringify(ratchet, null, 2)}\n`);
}

/** What is wrong with a result by the ratchet; null: it is as written down. */
export function judgeByRatchet(ratchet: Ratchet, name: string, hasPassed: boolean): string | null {
  const entry = ratchet[name];
  if (entry === undefined) return `${name} is not in ratchet.json`;
  if (entry.state === 'fixed') return hasPassed ? null : `${name} was fixed and is broken`;
  return hasPassed ? `${name} passes and is written down as broken (${entry.reason}): promote it to fixed` : null;
}
