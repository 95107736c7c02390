import type { ObjectHead, ObjectStore } from '../storage/index.ts';
import type { Drop } from './drop.ts';
import { type InboxObject, manifestName, outputKeysOf, parseInboxKey } from './inbox-key.ts';
import { findEndpoint, type ManifestOutline, outlineManifest } from './manifest.ts';
import { matchGlob } from './match-glob.ts';
import { findTypeProblem } from './readable-types.ts';
import { digestRules, type IntakeRules, loadTemplate } from './rules.ts';
import type { Template } from './template.ts';

/** What a drop will become. */
export type DropSource =
  | {
      readonly type: 'document';
      readonly name: string;
      readonly template: Template;
      readonly templateEtag: string | null;
    }
  | { readonly type: 'manifest'; readonly folder: string; readonly outline: ManifestOutline };

export type Verdict =
  | { readonly type: 'accepted'; readonly source: DropSource; readonly judgedBy: string }
  | { readonly type: 'rejected'; readonly reason: string; readonly judgedBy: string }
  /** The object is not the one that was dropped any more. */
  | { readonly type: 'changed' };

const maxKeyBytes = 1_024;

/** May this object run, and as what? What is wrong with it is a value. @throws `transient.*` */
export async function judgeDrop(
  store: ObjectStore,
  rules: IntakeRules,
  drop: Drop,
  head: ObjectHead,
): Promise<Verdict> {
  const object = parseInboxKey(drop.key);
  if (object?.type === 'manifest') return judgeManifest(store, rules, drop, object.folder, head);
  if (object?.type === 'document') return judgeDocument(store, rules, object, head);
  return { type: 'changed' };
}

async function judgeDocument(
  store: ObjectStore,
  rules: IntakeRules,
  { folder, name }: Extract<InboxObject, { type: 'document' }>,
  head: ObjectHead,
): Promise<Verdict> {
  const found = await loadTemplate(store, rules, folder);
  const judgedBy = digestRules(rules, found.etag);
  const reject = (reason: string): Verdict => ({ type: 'rejected', reason, judgedBy });
  const problem = findKeyProblem(head.key) ?? findTypeProblem(name) ?? findSizeProblem(head, rules);
  if (problem !== null) return reject(problem);
  if (found.type === 'invalid') return reject(found.problem);
  const { include } = found.template;
  if (include !== null && !include.some((pattern) => matchGlob(pattern, name))) {
    const patterns = include.map((pattern) => JSON.stringify(pattern)).join(', ');
    return reject(`the folder's template includes only ${patterns}`);
  }
  return {
    type: 'accepted',
    source: { type: 'document', name, template: found.template, templateEtag: found.etag },
    judgedBy,
  };
}

async function judgeManifest(
  store: ObjectStore,
  rules: IntakeRules,
  drop: Drop,
  folder: string,
  head: ObjectHead,
): Promise<Verdict> {
  const judgedBy = digestRules(rules, null);
  const problem = findKeyProblem(head.key) ?? findSizeProblem(head, rules);
  if (problem !== null) return { type: 'rejected', reason: problem, judgedBy };
  const beginning = await store.get(drop.key, { range: { start: 0, end: rules.lines.maxLineBytes } });
  const content = await store.getStream(drop.key);
  if (content === undefined || content.etag !== drop.etag || beginning?.etag !== drop.etag) {
    content?.stream.destroy();
    return { type: 'changed' };
  }
  const reading = await outlineManifest(content.stream, folder, findEndpoint(beginning.body), rules);
  if (reading.type === 'invalid') {
    return { type: 'rejected', reason: `${manifestName}: ${reading.problem}`, judgedBy };
  }
  return { type: 'accepted', source: { type: 'manifest', folder, outline: reading.outline }, judgedBy };
}

function findSizeProblem({ bytes }: ObjectHead, { maxFileBytes }: IntakeRules): string | null {
  return bytes > maxFileBytes ? `the object has ${bytes} bytes; at most ${maxFileBytes} are allowed` : null;
}

/** Keys of our own objects are longer than the key they speak of. */
function findKeyProblem(key: string): string | null {
  const longest = Math.max(...Object.values(outputKeysOf(key)).map((each: string) => Buffer.byteLength(each)));
  if (longest <= maxKeyBytes) return null;
  const most = maxKeyBytes - (longest - Buffer.byteLength(key));
  return `the key has ${Buffer.byteLength(key)} bytes; at most ${most} leave room for those of its results`;
}
