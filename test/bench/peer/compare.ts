import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ModelConfig, parseModelConfig } from '../../../src/engine/model/model-config.ts';
import { runtimeVersion } from '../../../src/engine/runtime/ort-session.ts';
import { formatTable } from '../figures.ts';
import type { EngineJob } from './child.ts';
import { findPeerObstacle, readPeerVersion } from './llama-peer.ts';
import type { MachineFigures } from './machine.ts';
import type { RowResult } from './measure.ts';
import { ensureModelFiles, type ModelFiles } from './model-files.ts';
import { oneOf } from './one-of.ts';
import {
  compareMachine,
  compareRows,
  comparisonHead,
  type EngineFigures,
  isFaster,
  type ModelFigures,
  machineHead,
} from './report.ts';
import { choiceRows, measureOrder, type RowId, rowIds, shortRows } from './rows.ts';
import { outOfTime, runChild } from './run-child.ts';
import { type ModelName, modelNames, modelShapes } from './shapes.ts';

const help = `npm run bench:engine -- --peer [options]      quire against node-llama-cpp, on the same random weights

  --model A|B|tiny     one of them; more with --model A --model B            (A and B)
  --rows id,id         ${rowIds.join(', ')}
  --quick              one repetition, no document of 8,192 tokens
  --whole              all answers of the questions are written to their ends; without it 14 of 64 tokens
  --minutes M          what is not measured by then is said to be missing     (15)
  --threads N          of either engine                                      (cores, at most 3)
  --precision P        int4 or full, of quire                                (int4)
  --folder DIR         where the models are written once                     (a folder for temporary files)
  --json               one JSON object on stdout, the rest on stderr`;

interface Options {
  readonly models: readonly ModelName[];
  readonly rows: readonly RowId[];
  readonly isQuick: boolean;
  readonly isWhole: boolean;
  readonly minutes: number;
  readonly threads: number;
  readonly precision: 'full' | 'int4';
  readonly root: string;
  readonly isJson: boolean;
}

function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peer: { type: 'boolean' },
      model: { type: 'string', multiple: true, default: ['A', 'B'] },
      rows: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      whole: { type: 'boolean', default: false },
      minutes: { type: 'string', default: '15' },
      threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
      precision: { type: 'string', default: 'int4' },
      folder: { type: 'string', default: join(tmpdir(), 'quire-bench-models') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const threads = Number(values.threads);
  if (!Number.isInteger(threads) || threads < 1)
    throw new RangeError(`--threads ${values.threads}, allowed: 1 and more`);
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new RangeError(`--minutes ${values.minutes}, allowed: a number above 0`);
  const asked = values.rows === '' ? rowIds : values.rows.split(',').map((id) => oneOf('rows', id, rowIds));
  return {
    models: values.model.map((name) => oneOf('model', name, modelNames)),
    rows: values.quick ? asked.filter((id) => !/8192|questions/.test(id)) : asked,
    isQuick: values.quick,
    isWhole: values.whole,
    minutes,
    threads,
    precision: oneOf('precision', values.precision, ['full', 'int4'] as const),
    root: values.folder,
    isJson: values.json,
  };
}

/** Rows that take longer than this are measured once. */
const limitsOf = ({ isQuick }: Options) => (isQuick ? { mostRepeats: 1, rowMs: 0 } : { mostRepeats: 4, rowMs: 2_500 });

/** Of the command's time, to show what was measured. */
const reserveMs = 5_000;

/** Parts of the time, so that a slow model leaves the next one its own. */
const timeShares: Readonly<Record<ModelName, number>> = { A: 1, B: 1.65, tiny: 0.2 };

const seconds = (ms: number): string => `${(ms / 1000).toFixed(0)} s`;

class Comparison {
  readonly #options: Options;
  readonly #say: (text: string) => void;
  readonly #allEndMs: number;
  /** Of the model that is measured. */
  #endMs = 0;

  constructor(options: Options, say: (text: string) => void) {
    this.#options = options;
    this.#say = say;
    // of the process: what it took to come here is the command's time too
    this.#allEndMs = options.minutes * 60_000 - reserveMs;
  }

  isOver(): boolean {
    return performance.now() >= this.#allEndMs;
  }

  /** All at once, a process each. */
  async writeFiles(): Promise<void> {
    const { root, models } = this.#options;
    const startMs = performance.now();
    const ends = await Promise.all(
      models.map((model) => runChild({ type: 'write', root, model }, this.#allEndMs, () => {})),
    );
    const failed = models.filter((_, index) => ends[index] !== null);
    if (failed.length > 0) throw new Error(`the files of model ${failed.join(', ')} could not be written to ${root}`);
    this.#say(`files of the models in ${root}: ${seconds(performance.now() - startMs)}`);
  }

  /** @param later models that need time too */
  async measure(
    name: ModelName,
    later: readonly ModelName[],
  ): Promise<{ readonly config: ModelConfig; readonly figures: ModelFigures }> {
    const { root, threads } = this.#options;
    const nowMs = performance.now();
    const shares = later.reduce((sum, other) => sum + timeShares[other], timeShares[name]);
    this.#endMs = nowMs + ((this.#allEndMs - nowMs) * timeShares[name]) / shares;
    const files = await ensureModelFiles(root, name);
    const config = parseModelConfig(JSON.parse(await readFile(join(files.folder, 'config.json'), 'utf8')));
    let machine: MachineFigures | null = null;
    const end = await runChild({ type: 'machine', folder: files.folder, threads }, this.#endMs, (message) => {
      if (message.type === 'machine') machine = message.figures;
    });
    this.#say(`rates of the machine: ${seconds(performance.now() - nowMs)}${end === null ? '' : `, ${end}`}`);
    const rows = measureOrder.filter((id) => this.#options.rows.includes(id));
    const quire = (reproducible: boolean) =>
      this.#run(files, { type: 'quire', reproducible, precision: this.#options.precision }, rows);
    const fast = await quire(false);
    const peer = await this.#measurePeer(files, rows);
    // last, since it is in no ratio
    const exact = await quire(true);
    return { config, figures: { machine, fast, exact, ...peer } };
  }

  /** The short rows tell which setting the other ones are measured with. */
  async #measurePeer(files: ModelFiles, rows: readonly RowId[]): Promise<Pick<ModelFigures, 'flash' | 'plain'>> {
    const llama = (flashAttention: boolean, part: readonly RowId[]) =>
      this.#run(files, { type: 'llama', flashAttention }, part);
    const short = rows.filter((id) => shortRows.includes(id));
    const long = rows.filter((id) => !shortRows.includes(id));
    const flash = await llama(true, short);
    const plain = await llama(false, short);
    const isFlash = isFaster(choiceOf(flash), choiceOf(plain));
    const further = await llama(isFlash, long);
    const both = new Map([...(isFlash ? flash : plain), ...further]);
    return isFlash ? { flash: both, plain } : { flash, plain: both };
  }

  /** A process that ends in a row has spoiled that row only: another one measures the rest. */
  async #run(files: ModelFiles, engine: EngineJob['engine'], rows: readonly RowId[]): Promise<EngineFigures> {
    const { threads, isWhole } = this.#options;
    const limits = limitsOf(this.#options);
    const results = new Map<RowId, RowResult>();
    const startMs = performance.now();
    let sinceMs = startMs;
    let notes = '';
    let left = [...rows];
    while (left.length > 0) {
      let isReady = false;
      const job = { type: 'engine', engine, ...files, threads, rows: left, limits, isWhole } as const;
      const end = await runChild(job, this.#endMs, (message) => {
        const nowMs = performance.now();
        if (message.type === 'ready') {
          isReady = true;
          notes += `, loaded in ${(message.loadMs / 1000).toFixed(1)} s`;
        }
        if (message.type === 'row') {
          results.set(message.figures.id, message.figures);
          notes += `, ${message.figures.id} ${seconds(nowMs - sinceMs)}`;
        }
        sinceMs = nowMs;
        if (message.type === 'end') notes += `, peak ${(message.peakBytes / 2 ** 20).toFixed(0)} MiB`;
      });
      left = left.filter((id) => !results.has(id));
      if (end === null) break;
      const ended = isReady ? left.splice(0, 1) : left.splice(0);
      const shown = isReady ? `${end} after ${seconds(performance.now() - sinceMs)}` : end;
      for (const id of ended) results.set(id, { id, end: shown });
      notes += `, ended: ${end} (${ended.join(', ')})`;
    }
    if (rows.length > 0) this.#say(`${nameOf(engine)}: ${seconds(performance.now() - startMs)} in all${notes}`);
    return results;
  }
}

const choiceOf = (figures: EngineFigures): EngineFigures =>
  new Map([...figures].filter(([id]) => choiceRows.includes(id)));

function nameOf(engine: EngineJob['engine']): string {
  return engine.type === 'quire'
    ? `quire, ${engine.precision}, reproducible ${engine.reproducible ? 'on' : 'off'}`
    : `node-llama-cpp, flash attention ${engine.flashAttention ? 'on' : 'off'}`;
}

/** The command. */
export async function runPeerBench(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options === null) return console.log(help);
  const obstacle = findPeerObstacle();
  if (obstacle !== null) throw new Error(obstacle);
  const say = options.isJson ? console.error : console.log;
  const versions = { node: process.version, onnxruntime: runtimeVersion(), 'node-llama-cpp': readPeerVersion() };
  const shown = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  say(`${shown.join(', ')}; ${options.threads} threads of ${cpus().length} × ${cpus()[0]?.model ?? 'an unknown CPU'}`);
  const comparison = new Comparison(options, say);
  await comparison.writeFiles();
  const all: Record<string, unknown> = {};
  for (const [index, name] of options.models.entries()) {
    if (comparison.isOver()) {
      say(`model ${name}: ${outOfTime}`);
      continue;
    }
    say(`\nmodel ${name}: ${JSON.stringify(modelShapes[name])}`);
    const { config, figures } = await comparison.measure(name, options.models.slice(index + 1));
    say(formatTable(comparisonHead, compareRows(figures)));
    say(formatTable(machineHead, compareMachine(config, figures)));
    const engines = (['fast', 'exact', 'flash', 'plain'] as const).map((key) => [key, [...figures[key].values()]]);
    all[name] = { shape: modelShapes[name], machine: figures.machine, ...Object.fromEntries(engines) };
  }
  if (options.isJson) console.log(JSON.stringify({ versions, threads: options.threads, models: all }));
}
