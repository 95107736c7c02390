import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../base/log.ts';
import type { LoadedModel } from '../model/load-model.ts';
import { type GraphDigests, graphPaths, type ModelOptions, writeGraphs } from './graph-files.ts';
import { type OrtSession, openOrtSession } from './ort-session.ts';
import { PreparedModels } from './prepared-models.ts';

export interface OpenGraphs extends GraphDigests {
  /** One a stage. */
  readonly stages: readonly OrtSession[];
  readonly top: OrtSession;
}

/**
 * Opens the graphs of a checkpoint. With a folder for prepared models they are kept there as the runtime will use
 * them, and the next process maps them: nothing is read, built or packed again, and processes share the memory.
 * @throws what reading weights throws, `capacity.model-too-large`
 */
export async function openGraphs(
  model: LoadedModel,
  options: ModelOptions & { readonly threads: number; readonly preparedFolder: string | null; readonly log: Logger },
): Promise<OpenGraphs> {
  // what is prepared is packed for kernels of the CPU
  if (options.preparedFolder === null || options.provider !== 'cpu') return openWithout(model, options);
  const { threads, stages } = options;
  const prepared = await PreparedModels.open(options.preparedFolder, model, options);
  const found = await prepared.find();
  if (found !== null) {
    try {
      return await openAll(prepared.paths, found, (path) => openOrtSession(path, { threads, isPrepared: true }));
    } catch (error) {
      // damaged on disk; it can always be made again
      options.log.warn(
        { folder: options.preparedFolder, err: error },
        'prepared model cannot be read and is made again',
      );
      await prepared.drop();
    }
  }
  const folder = await prepared.begin();
  try {
    const digests = writeGraphs(folder, model.config, model.weights, options);
    const targets = prepared.pathsIn(folder);
    const graphs = await openAll(graphPaths(folder, stages), digests, (path, index) => {
      const preparedPath = targets[index];
      return openOrtSession(path, preparedPath === undefined ? { threads } : { threads, preparedPath });
    });
    await prepared.keep(folder, digests);
    return graphs;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function openWithout(
  model: LoadedModel,
  options: ModelOptions & { readonly threads: number },
): Promise<OpenGraphs> {
  const folder = await mkdtemp(join(tmpdir(), 'quire-graph-'));
  try {
    const digests = writeGraphs(folder, model.config, model.weights, options);
    return await openAll(graphPaths(folder, options.stages), digests, (path, index) =>
      openOrtSession(path, {
        threads: options.threads,
        provider: options.provider,
        deviceOutput: options.provider === 'webgpu' && index < options.stages.length ? 'hidden' : null,
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function openAll(
  paths: readonly string[],
  digests: GraphDigests,
  open: (path: string, index: number) => Promise<OrtSession>,
): Promise<OpenGraphs> {
  const sessions: OrtSession[] = [];
  try {
    for (const [index, path] of paths.slice(0, -1).entries()) sessions.push(await open(path, index));
    const top = await open(paths.at(-1) ?? '', paths.length - 1);
    return { ...digests, stages: sessions, top };
  } catch (error) {
    for (const session of sessions) await session.close();
    throw error;
  }
}
