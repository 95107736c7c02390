import { openTokenizer } from '../../../src/engine/tokenizer/tokenizer.ts';
import { openLlamaEngine } from './llama-engine.ts';
import { type MachineFigures, type MachineJob, measureMachine } from './machine.ts';
import { type BenchEngine, type MeasureLimits, measureRows, type RowFigures } from './measure.ts';
import { ensureModelFiles } from './model-files.ts';
import { PromptWriter } from './prompts.ts';
import { openQuireEngine } from './quire-engine.ts';
import { benchRows, measureOrder, type RowId, writeWhole } from './rows.ts';
import type { ModelName } from './shapes.ts';
import { buildWordVocabulary } from './word-vocabulary.ts';

/** One engine with one setting. */
export interface EngineJob {
  readonly type: 'engine';
  readonly engine:
    | { readonly type: 'quire'; readonly reproducible: boolean; readonly precision: 'full' | 'int4' }
    | { readonly type: 'llama'; readonly flashAttention: boolean };
  readonly folder: string;
  readonly gguf: string;
  readonly threads: number;
  readonly rows: readonly RowId[];
  readonly limits: MeasureLimits;
  /** All answers to their ends. */
  readonly isWhole: boolean;
}

/** Writes a model's files where they are not yet. */
export interface WriteJob {
  readonly type: 'write';
  readonly root: string;
  readonly model: ModelName;
}

export type ChildJob = EngineJob | MachineJob | WriteJob;

export type ChildMessage =
  | { readonly type: 'machine'; readonly figures: MachineFigures }
  | { readonly type: 'ready'; readonly loadMs: number }
  | { readonly type: 'row'; readonly figures: RowFigures }
  | { readonly type: 'end'; readonly peakBytes: number };

type OpenEngine = BenchEngine & { close(): Promise<void> };

async function openEngine({ engine, folder, gguf, threads }: EngineJob): Promise<OpenEngine> {
  const tokenizer = await openTokenizer(folder);
  const prompts = new PromptWriter(tokenizer, buildWordVocabulary(tokenizer.vocabularySize).words);
  if (engine.type === 'llama') {
    return openLlamaEngine({ file: gguf, threads, flashAttention: engine.flashAttention }, prompts);
  }
  const { reproducible, precision } = engine;
  const stopId = tokenizer.specialId('<|im_end|>');
  return openQuireEngine({ folder, threads, reproducible, precision }, prompts, stopId);
}

const say = (message: ChildMessage): void => void process.send?.(message);

async function measureEngine(job: EngineJob): Promise<void> {
  const startMs = performance.now();
  const engine = await openEngine(job);
  const loadMs = performance.now() - startMs;
  // kernels, allocations, compiled JavaScript
  await engine.decode({ type: 'decode', sequences: 2, prefixTokens: 0, ownTokens: 64, answerTokens: 4 }, 0);
  say({ type: 'ready', loadMs });
  const asked = measureOrder.filter((id) => job.rows.includes(id));
  const rows = asked
    .flatMap((id) => benchRows.filter((row) => row.id === id))
    .map((row) => (job.isWhole ? writeWhole(row) : row));
  await measureRows(engine, rows, job.limits, (figures) => say({ type: 'row', figures }));
  await engine.close();
  say({ type: 'end', peakBytes: process.resourceUsage().maxRSS * 1024 });
}

/** A process of its own for each engine and setting; nothing else runs meanwhile, since the parent waits. */
const given = JSON.parse(process.argv[2] ?? '') as ChildJob;
if (given.type === 'machine') say({ type: 'machine', figures: await measureMachine(given) });
else if (given.type === 'write') await ensureModelFiles(given.root, given.model);
else await measureEngine(given);
process.disconnect?.();
