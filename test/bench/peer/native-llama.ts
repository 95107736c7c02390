import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { BenchRow, Work } from './rows.ts';

/** One line of what `llama-batched-bench` prints: a prompt, and tokens of so many sequences behind it. */
interface BatchedFigures {
  readonly pp: number;
  readonly pl: number;
  readonly t_pp: number;
  readonly t_tg: number;
  readonly speed_pp: number;
  readonly speed_tg: number;
}

interface BatchedRun {
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly sequences: number;
  /** One prompt for all of them. */
  readonly isShared: boolean;
}

/** How the program does a row of work. Own tokens behind a shared prompt are left out, which only helps it. */
function runOf(work: Work): BatchedRun {
  switch (work.type) {
    case 'prefill':
      return { promptTokens: work.promptTokens, answerTokens: 1, sequences: 1, isShared: true };
    case 'decode': {
      const { sequences, answerTokens, prefixTokens, ownTokens } = work;
      const isShared = prefixTokens > 0;
      return { promptTokens: isShared ? prefixTokens : ownTokens, answerTokens, sequences, isShared };
    }
    case 'questions': {
      const { documentTokens, questions, answerTokens } = work;
      return { promptTokens: documentTokens, answerTokens, sequences: questions, isShared: true };
    }
  }
}

export interface NativeJob {
  /** `llama-batched-bench` */
  readonly program: string;
  readonly gguf: string;
  readonly threads: number;
  readonly flashAttention: boolean;
}

export interface NativeFigures {
  /** Tokens a second: of the prompt, of all answers, or of the answers with the time of their document in it. */
  readonly rate: number;
  /** Of the prompt alone. */
  readonly promptRate: number;
}

/**
 * One row, in a process of its own.
 * @throws when the program does not run or prints no figures
 */
export async function measureNative(job: NativeJob, { work }: BenchRow): Promise<NativeFigures> {
  const { promptTokens, answerTokens, sequences, isShared } = runOf(work);
  const rows = (isShared ? promptTokens : promptTokens * sequences) + sequences * answerTokens;
  const figures = await readFigures(job.program, [
    ...['-m', job.gguf, '-t', String(job.threads), '-tb', String(job.threads)],
    ...['-c', String(Math.ceil((rows + sequences) / 256) * 256), '-b', '2048', '-ub', '512', '-kvu'],
    ...['-fa', job.flashAttention ? 'on' : 'off', '--output-format', 'jsonl'],
    ...['-npp', String(promptTokens), '-ntg', String(answerTokens), '-npl', String(sequences)],
    ...(isShared ? ['-pps'] : []),
  ]);
  const whole = (sequences * answerTokens) / (figures.t_pp + figures.t_tg);
  const rates = { prefill: figures.speed_pp, decode: figures.speed_tg, questions: whole };
  return { rate: rates[work.type], promptRate: figures.speed_pp };
}

/** Its log is written by a thread that its end does not always wait for: a run in ten prints nothing. */
const mostTries = 4;

async function readFigures(program: string, args: readonly string[]): Promise<BatchedFigures> {
  for (let tries = 0; tries < mostTries; tries++) {
    const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 2 ** 26 });
    const line = stdout.split('\n').find((one) => one.startsWith('{"n_kv_max"'));
    if (line !== undefined) return JSON.parse(line) as BatchedFigures;
  }
  throw new Error(`${program} ${args.join(' ')} printed no figures, ${mostTries} times`);
}
