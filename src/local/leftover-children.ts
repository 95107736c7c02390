/**
 * Which processes a start over this data folder has running, so that the next start can see to it that none of an
 * earlier one still writes. After a killed supervisor its children need a moment to notice; a stuck one may never.
 */
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '../base/log.ts';
import { loadJson, savePrivateJson } from './private-file.ts';
import { killGroup } from './process-group.ts';
import { findProcessIdentity, isAlive, type ProcessIdentity, parseProcessIdentity } from './process-identity.ts';
import type { SupervisorEvent } from './supervisor-events.ts';

/** The end of the channel is noticed in milliseconds, but a worker may finish its write and Redis its file. */
const noticeMs = 3_000;
const pollMs = 20;

/** Resolves when none of the recorded processes is left. */
export async function endLeftoverChildren(dataDir: string, log: Logger): Promise<void> {
  const recorded = loadJson(pathOf(dataDir));
  const leftover = (Array.isArray(recorded) ? recorded : [])
    .map(parseProcessIdentity)
    .filter((one) => one !== undefined);
  const alive = (): readonly ProcessIdentity[] => leftover.filter(isAlive);
  if (alive().length === 0) return;
  log.warn({ pids: alive().map(({ pid }) => pid) }, 'processes of an earlier start are still ending');
  const deadlineMs = Date.now() + noticeMs;
  while (alive().length > 0) {
    // every child leads its own group, so its number names the group as long as it lives
    if (Date.now() >= deadlineMs) for (const { pid } of alive()) killGroup(pid);
    await wait(pollMs);
  }
}

/** Takes the supervisor's events and keeps the record. */
export function recordChildren(dataDir: string): (event: SupervisorEvent) => void {
  const children = new Map<string, ProcessIdentity>();
  return (event) => {
    if (event.type === 'child-exit') children.delete(event.name);
    if (event.type === 'child-start') {
      const identity = findProcessIdentity(event.pid);
      if (identity !== undefined) children.set(event.name, identity);
    }
    if (event.type === 'child-start' || event.type === 'child-exit') {
      savePrivateJson(pathOf(dataDir), [...children.values()]);
    }
  };
}

function pathOf(dataDir: string): string {
  return join(dataDir, 'children.json');
}
