import { existsSync, readFileSync, renameSync } from 'node:fs';

/** The part of node-llama-cpp that is used here; its own types come with the package, which need not be installed. */
export interface Llama {
  readonly systemInfo: string;
  loadModel(options: {
    readonly modelPath: string;
    readonly gpuLayers: 0;
    readonly useMmap: boolean;
  }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

export interface LlamaModel {
  createContext(options: {
    /** Tokens of one sequence. */
    readonly contextSize: number;
    readonly sequences: number;
    /** Tokens of one run. */
    readonly batchSize: number;
    readonly threads: number;
    readonly flashAttention: boolean;
  }): Promise<LlamaContext>;
}

export interface LlamaContext {
  readonly batchSize: number;
  readonly currentThreads: number;
  readonly idealThreads: number;
  readonly flashAttention: boolean | 'auto';
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}

export interface LlamaSequence {
  /** Greedy with a temperature of 0; `yieldEogToken` goes on behind the end of a turn. */
  evaluate(
    ids: readonly number[],
    options: { readonly temperature: 0; readonly yieldEogToken: true },
  ): AsyncGenerator<number, void>;
  evaluateWithoutGeneratingNewTokens(ids: readonly number[]): Promise<void>;
  controlledEvaluate(
    input: readonly (readonly [id: number, options: { readonly generateNext: { readonly logits: true } }])[],
  ): Promise<readonly ({ readonly next: { readonly logits?: ReadonlyMap<number, number> } } | undefined)[]>;
  clearHistory(): Promise<void>;
  saveStateToFile(path: string): Promise<{ readonly fileSize: number }>;
  loadStateFromFile(path: string, options: { readonly acceptRisk: true }): Promise<void>;
}

interface LlamaPackage {
  getLlama(options: {
    readonly gpu: false;
    /** Otherwise a missing binary would be compiled. */
    readonly build: 'never';
    readonly maxThreads: number;
    readonly logLevel: 'error';
  }): Promise<Llama>;
}

const packageFolder = new URL('./node_modules/node-llama-cpp/', import.meta.url);
/**
 * The package's build for CPUs with AMX ends the process with these models (`GGML_ASSERT(*cur_backend_id != -1)`): it
 * keeps matrices in a form that some of its own products cannot read. Without the file the package takes its next
 * best build for such CPUs, which has AVX-512 with VNNI.
 */
const brokenBuild = new URL(
  './node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-cpu-sapphirerapids.so',
  import.meta.url,
);
const installCommand = 'npm ci --prefix test/bench/peer --ignore-scripts --omit=optional';

/** Why node-llama-cpp cannot be used here, in a sentence, or null. */
export function findPeerObstacle(): string | null {
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== 'linux-x64') return `the peer's binary is for linux-x64 only, this machine is ${platform}`;
  if (!existsSync(packageFolder)) return `node-llama-cpp is not installed; install it with: ${installCommand}`;
  return null;
}

export function readPeerVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', packageFolder), 'utf8')) as { version: string };
  return version;
}

/** @throws when the peer is not installed, with the command that installs it */
export async function openLlama(threads: number): Promise<Llama> {
  const obstacle = findPeerObstacle();
  if (obstacle !== null) throw new Error(obstacle);
  if (existsSync(brokenBuild)) renameSync(brokenBuild, new URL(`${brokenBuild.href}.unused`));
  const { getLlama } = (await import(new URL('dist/index.js', packageFolder).href)) as LlamaPackage;
  return getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
}
