import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalJson } from '../../base/canonical-json.ts';
import { env } from '../../base/env.contract.ts';
import { AppError } from '../../base/errors.ts';
import { sha256Hex } from '../../base/hash.ts';
import type { LoadedModel } from '../model/load-model.ts';
import { alignPrepared } from './align-prepared.ts';
import { cpuFeatures } from './cpu-features.ts';
import { type GraphDigests, graphPaths, type ModelOptions } from './graph-files.ts';
import { runtimeVersion, weightsFileOf } from './ort-session.ts';

/** So many models stay; the one not used for the longest time goes first. */
const keptModels = 4;
const manifestFile = 'manifest.json';
const workPrefix = 'unfinished-';
/** Longer than any model takes: a process that was killed has left it. */
const abandonedMs = 6 * 3_600_000;

interface Manifest {
  readonly version: 1;
  readonly digest: string;
  readonly weightsDigest: string;
  /** Bytes of each file, to notice one that was cut. */
  readonly bytes: Readonly<Record<string, number>>;
}

/**
 * A folder of models as the runtime uses them. An entry is named by everything that decides its bytes: the
 * checkpoint's headers and the size and time of its weight files, precision, form, stages, runtime, CPU, and the code
 * that builds graphs. Entries appear whole, by a rename, and are never changed.
 */
export class PreparedModels {
  readonly #folder: string;
  readonly #name: string;
  readonly #options: ModelOptions;

  private constructor(folder: string, name: string, options: ModelOptions) {
    this.#folder = folder;
    this.#name = name;
    this.#options = options;
  }

  static async open(folder: string, model: LoadedModel, options: ModelOptions): Promise<PreparedModels> {
    await makeFolder(folder);
    const files = await Promise.all(
      model.weights.files().map(async (file) => {
        const { size, mtimeMs, ino } = await stat(file);
        return { size, mtimeMs, ino };
      }),
    );
    const { precision, form, rounds, stages } = options;
    const parts = {
      version: 1,
      headers: model.card.digest,
      files,
      precision,
      form,
      rounds,
      stages,
      runtime: runtimeVersion(),
      cpu: cpuFeatures(),
      code: await digestOfCode(),
    };
    return new PreparedModels(folder, sha256Hex(canonicalJson(parts)), options);
  }

  /** Null: not prepared yet, or not readable. */
  async find(): Promise<GraphDigests | null> {
    const entry = join(this.#folder, this.#name);
    const manifest = await readManifest(join(entry, manifestFile));
    if (manifest === null || !(await hasFiles(entry, manifest.bytes))) return this.drop();
    const now = new Date();
    await utimes(entry, now, now).catch(() => undefined);
    return { digest: manifest.digest, weightsDigest: manifest.weightsDigest };
  }

  async drop(): Promise<null> {
    await rm(join(this.#folder, this.#name), { recursive: true, force: true });
    return null;
  }

  /** A folder to work in; the caller removes it. */
  async begin(): Promise<string> {
    await this.#dropAbandoned();
    return mkdtemp(join(this.#folder, workPrefix));
  }

  /** Model files of the entry, as of `graphPaths`. */
  get paths(): readonly string[] {
    return this.pathsIn(join(this.#folder, this.#name));
  }

  pathsIn(folder: string): readonly string[] {
    return graphPaths(folder, this.#options.stages, 'prepared');
  }

  /** Takes what was prepared in `folder`. Another process may have been faster: then nothing happens. */
  async keep(folder: string, digests: GraphDigests): Promise<void> {
    for (const path of this.pathsIn(folder)) alignPrepared(path, weightsFileOf(path));
    for (const path of graphPaths(folder, this.#options.stages)) {
      await rm(path);
      await rm(weightsFileOf(path));
    }
    const names = await readdir(folder);
    const sizes = await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).size] as const));
    const { digest, weightsDigest } = digests;
    const manifest: Manifest = { version: 1, digest, weightsDigest, bytes: Object.fromEntries(sizes) };
    await writeFile(join(folder, manifestFile), JSON.stringify(manifest));
    await rename(folder, join(this.#folder, this.#name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    await this.#dropOldest();
  }

  async #dropAbandoned(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (!name.startsWith(workPrefix)) continue;
      const path = join(this.#folder, name);
      const changedMs = await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Number.POSITIVE_INFINITY,
      );
      if (Date.now() - changedMs > abandonedMs) await rm(path, { recursive: true, force: true });
    }
  }

  async #dropOldest(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const aged = await Promise.all(
      names.map(async (name) => ({ name, usedMs: (await stat(join(this.#folder, name))).mtimeMs })),
    );
    aged.sort((left, right) => right.usedMs - left.usedMs);
    // Open ones are mapped and stay readable for those who have them.
    for (const { name } of aged.slice(keptModels)) await rm(join(this.#folder, name), { recursive: true, force: true });
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    const what = `${env.preparedDir} is ${folder}, which cannot be written; allowed: a folder that can, or off`;
    throw new AppError('input.config', what, { cause: error });
  }
}

async function readManifest(path: string): Promise<Manifest | null> {
  try {
    const manifest = JSON.parse(await readFile(path, 'utf8')) as Partial<Manifest>;
    const { version, digest, weightsDigest, bytes } = manifest;
    if (version !== 1 || typeof digest !== 'string' || typeof weightsDigest !== 'string') return null;
    return typeof bytes === 'object' && bytes !== null ? { version, digest, weightsDigest, bytes } : null;
  } catch {
    return null;
  }
}

async function hasFiles(folder: string, bytes: Manifest['bytes']): Promise<boolean> {
  const sizes = Object.entries(bytes).map(async ([name, size]) => (await stat(join(folder, name))).size === size);
  return (await Promise.all(sizes).catch(() => [false])).every(Boolean);
}

/** The files that build graphs: a graph of older code is never taken for one of this code. */
async function digestOfCode(): Promise<string> {
  const room = join(dirname(fileURLToPath(import.meta.url)), '..', 'model');
  const names = (await readdir(room, { recursive: true })).filter((name) => /\.[jt]s$/.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(room, name))));
  return sha256Hex(canonicalJson(texts.map((text, index) => [names[index] ?? '', sha256Hex(text)])));
}
