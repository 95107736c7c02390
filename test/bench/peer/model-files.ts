import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../../../src/base/hash.ts';
import { type ModelName, modelShapes } from './shapes.ts';
import { writeShapeCheckpoint } from './write-checkpoint.ts';
import { writeGguf } from './write-gguf.ts';

/** To be counted up when other bytes are written for the same shape. */
const writerVersion = 1;

export interface ModelFiles {
  /** Of quire. */
  readonly folder: string;
  /** Of the peer, with the same weights. */
  readonly gguf: string;
}

/** Finds the files of a model under `root`, or writes them: the folder takes its name once it is complete. */
export async function ensureModelFiles(
  root: string,
  name: ModelName,
  onWrite: (folder: string) => void = () => {},
): Promise<ModelFiles> {
  const shape = modelShapes[name];
  const digest = sha256Hex(JSON.stringify([writerVersion, shape])).slice(0, 12);
  const folder = join(root, `${name}-${digest}`);
  if (!existsSync(folder)) {
    onWrite(folder);
    await mkdir(root, { recursive: true });
    const partial = `${folder}.${process.pid}`;
    try {
      await writeShapeCheckpoint(partial, shape);
      await writeGguf(partial, join(partial, 'model.gguf'));
      await rename(partial, folder);
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }
  return { folder, gguf: join(folder, 'model.gguf') };
}
