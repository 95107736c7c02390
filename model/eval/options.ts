import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ownQuestions } from './evaluation-set.ts';
import type { Precision } from './product.ts';

export interface Options {
  readonly model: string;
  /** File of the generated questions. */
  readonly questions: string;
  /** Answers everything. */
  readonly precision: Precision;
  /** Answers some of the same questions; null: nobody. */
  readonly comparedPrecision: Precision | null;
  /** `all`, or names of sets and beginnings of names between commas. */
  readonly sets: string;
  /** Most questions of a set. */
  readonly limit: number;
  /** Questions that both precisions answer. */
  readonly compared: number;
  /** The set that is answered with a check of each draft, too; '' for none. */
  readonly reflect: string;
  /** Questions that are asked behind cached pages and without. */
  readonly cached: number;
  readonly threads: number;
  /** Folder of the card, the figures and the plot; null: they are printed only. */
  readonly out: string | null;
  readonly show: boolean;
}

const bundled = fileURLToPath(new URL('../quire-nano', import.meta.url));

/** @throws Error for an option that is unknown or has a value that is not allowed */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: bundled },
      questions: { type: 'string', default: ownQuestions },
      precision: { type: 'string', default: 'int4,full' },
      sets: { type: 'string', default: 'all' },
      limit: { type: 'string' },
      compare: { type: 'string', default: '100' },
      reflect: { type: 'string', default: 'short document' },
      cached: { type: 'string', default: '4' },
      threads: { type: 'string', default: '2' },
      out: { type: 'string' },
      card: { type: 'boolean', default: false },
      show: { type: 'boolean', default: false },
    },
  });
  if (values.card && values.out !== undefined) throw new Error('card writes into the model folder; leave out out');
  if (values.card && values.questions !== ownQuestions) {
    throw new Error('card shows answers to the questions that all cards show; leave out questions');
  }
  const [precision, comparedPrecision = null, ...more] = values.precision.split(',').map(readPrecision);
  if (precision === undefined || more.length > 0 || precision === comparedPrecision) {
    throw new Error(`precision is ${JSON.stringify(values.precision)}, allowed: int4, full, or both in either order`);
  }
  return {
    model: values.model,
    questions: values.questions,
    precision,
    comparedPrecision,
    sets: values.sets,
    limit: values.limit === undefined ? Number.POSITIVE_INFINITY : readCount('limit', values.limit, 1),
    compared: readCount('compare', values.compare, 0),
    reflect: values.reflect === 'none' ? '' : values.reflect,
    cached: readCount('cached', values.cached, 0),
    threads: readCount('threads', values.threads, 1),
    out: values.card ? values.model : (values.out ?? null),
    show: values.show,
  };
}

function readPrecision(name: string): Precision {
  if (name !== 'int4' && name !== 'full') throw new Error(`precision has ${JSON.stringify(name)}, allowed: int4, full`);
  return name;
}

function readCount(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`${name} is ${JSON.stringify(text)}, allowed: a whole number from ${least}`);
  }
  return value;
}
