import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { readFlag, readInteger, readOneOf, readText } from './read-variable.ts';

/** Settings of the engine process. */
export interface EngineConfig {
  /** Of one run of the model. */
  readonly threads: number;
  /** Who computes the model. */
  readonly provider: 'cpu' | 'webgpu' | 'cuda';
  /** `int4`: fast products of INT4 and INT8; `full`: float32 on the weights as stored. */
  readonly precision: 'int4' | 'full';
  /** The same bits whatever else is in work; costs some speed. */
  readonly reproducible: boolean;
  /** Memory for the latents of prompts and answers. */
  readonly pageMemoryBytes: number;
  /** Where pages go that memory has no room for; null: nowhere. */
  readonly pageDisk: { readonly folder: string; readonly budgetBytes: number } | null;
  /** Share pages with other workers by the object store. */
  readonly pageStore: boolean;
  /** Where models are kept as the runtime uses them, for a quick start; null: nowhere. */
  readonly preparedFolder: string | null;
  /** Requests decoded at a time. */
  readonly maxSequences: number;
  /** Prompt tokens that one step reads at most. */
  readonly prefillTokens: number;
  /** Tokens of an answer guessed ahead and verified in one step, at most; 0: none. */
  readonly draftTokens: number;
}

type Variables = Readonly<Record<string, string | undefined>>;

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;
const tebibyte = 2 ** 40;

export function readEngine(variables: Variables, dataDir: string): EngineConfig {
  const diskBytes = readInteger(variables, env.pageDiskBytes, { fallback: 4 * gibibyte, min: 0, max: 64 * tebibyte });
  const folder = resolve(readText(variables, env.pageDir, join(dataDir, 'pages')));
  const provider = readOneOf(variables, env.provider, ['cpu', 'webgpu', 'cuda'] as const, 'cpu');
  const reproducible = readFlag(variables, env.reproducible, true);
  if (provider !== 'cpu' && reproducible) {
    const what = `${env.provider} is ${provider}, but equal bits are promised on the cpu only: set ${env.reproducible}=false`;
    throw new AppError('input.config', what);
  }
  return {
    provider,
    // up to 3 threads the bits of a result do not depend on their number; bigger machines run more workers
    threads: readInteger(variables, env.threads, { fallback: Math.min(availableParallelism(), 3), min: 1, max: 6 }),
    precision: readOneOf(variables, env.precision, ['int4', 'full'] as const, 'int4'),
    reproducible,
    pageMemoryBytes: readInteger(variables, env.pageMemoryBytes, {
      fallback: defaultPageMemory(machineMemory()),
      min: mebibyte,
      max: 16 * tebibyte,
    }),
    pageDisk: diskBytes === 0 ? null : { folder, budgetBytes: diskBytes },
    pageStore: readOneOf(variables, env.pageStore, ['on', 'off'] as const, 'on') === 'on',
    preparedFolder: readPreparedFolder(variables, dataDir),
    maxSequences: readInteger(variables, env.maxSequences, { fallback: 64, min: 1, max: 1024 }),
    prefillTokens: readInteger(variables, env.prefillTokens, { fallback: 256, min: 1, max: 65_536 }),
    draftTokens: readInteger(variables, env.draftTokens, { fallback: 8, min: 0, max: 32 }),
  };
}

function readPreparedFolder(variables: Variables, dataDir: string): string | null {
  const folder = readText(variables, env.preparedDir, join(dataDir, 'models'));
  return folder === 'off' ? null : resolve(folder);
}

/** 1 GiB, but at most a quarter of the machine: the model itself, its runtime and the other processes need the rest. */
export function defaultPageMemory(machineBytes: number): number {
  return Math.max(mebibyte, Math.min(gibibyte, Math.floor(machineBytes / 4)));
}

/** What this process may use: a container has less than the machine under it. */
function machineMemory(): number {
  const limitBytes = process.constrainedMemory();
  return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem();
}
