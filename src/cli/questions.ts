import { readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { type Command, Option } from 'commander';
import { AppError } from '../base/errors.ts';
import { collect, integerOption, temperatureOption } from './options.ts';

type Json = Readonly<Record<string, unknown>>;

/** What commands that ask questions take. */
export interface QuestionOptions {
  readonly ask?: readonly string[];
  readonly schema?: string;
  readonly answer?: 'json' | 'text';
  readonly model?: string;
  readonly maxTokens?: number;
  readonly thinkingBudget?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

export interface Question {
  /** Part of the line's name: q1, q2, … */
  readonly id: string;
  readonly text: string;
}

/** The same for every question of one command. */
export interface AskedAs {
  readonly questions: readonly Question[];
  readonly schema: Json | null;
  readonly answer: 'json' | 'text';
  /** Further fields of an analysis body. */
  readonly fields: Json;
}

const maxTokens = 1 << 20;

export function withQuestions(command: Command): Command {
  return command
    .option('--ask <question>', 'what to ask of every document; may be repeated', collect)
    .option('--schema <file>', 'JSON schema that every answer must follow')
    .addOption(new Option('--answer <form>', 'form of the answers (json: with citations)').choices(['json', 'text']))
    .option('--model <name>', 'model to ask (else the first one served)')
    .option('--max-tokens <n>', 'longest answer, reasoning included', integerOption(1, maxTokens))
    .option('--thinking-budget <n>', 'most tokens of reasoning', integerOption(0, maxTokens))
    .option('--temperature <t>', '0 (the likeliest words) to 2', temperatureOption)
    .option('--seed <n>', 'the same seed gives the same answer', integerOption(0, 2 ** 31 - 1));
}

/** @throws `input.invalid-request`, `input.not-found`, `input.schema` */
export async function readQuestions(options: QuestionOptions): Promise<AskedAs> {
  const asked = options.ask ?? [];
  if (asked.length === 0) {
    throw new AppError('input.invalid-request', 'nothing is asked; give at least one --ask "question"');
  }
  const empty = asked.findIndex((text) => text.trim() === '');
  if (empty !== -1) throw new AppError('input.invalid-request', `question ${empty + 1} (--ask) is empty`);
  const answer = options.answer ?? 'json';
  if (options.schema !== undefined && answer === 'text') {
    throw new AppError('input.invalid-request', '--schema needs --answer json; text follows no schema');
  }
  const { maxTokens: most, thinkingBudget, temperature, seed } = options;
  return {
    questions: asked.map((text, index) => ({ id: `q${index + 1}`, text })),
    schema: options.schema === undefined ? null : await readSchema(options.schema),
    answer,
    fields: {
      ...(most === undefined ? {} : { max_completion_tokens: most }),
      ...(thinkingBudget === undefined ? {} : { thinking_budget: thinkingBudget }),
      ...(temperature === undefined ? {} : { temperature }),
      ...(seed === undefined ? {} : { seed }),
    },
  };
}

/** @throws `input.not-found`, `input.schema` naming the file and what is wrong with it */
export async function readSchema(path: string): Promise<Json> {
  const schema = await readJsonObject(path, 'schema file');
  const ajv = /2020-12|2019-09/.test(String(schema['$schema'] ?? '')) ? new Ajv2020() : new Ajv();
  // a dialect it does not know is the server's to judge
  if (typeof schema['$schema'] === 'string' && ajv.getSchema(schema['$schema']) === undefined) return schema;
  if (ajv.validateSchema(schema) === true) return schema;
  const [first] = ajv.errors ?? [];
  const place = first?.instancePath === '' ? '' : ` at ${first?.instancePath}`;
  throw new AppError('input.schema', `schema file ${path} is no valid JSON schema${place}: ${first?.message}`);
}

/** @throws `input.not-found`, `input.schema` */
export async function readJsonObject(path: string, what: string): Promise<Json> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'EISDIR' ? `${what} ${path} is a folder` : `${what} ${path} cannot be read: ${code}`;
    throw new AppError('input.not-found', code === 'ENOENT' ? `no such ${what}: ${path}` : reason, { cause });
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch (cause) {
    const { message } = cause as Error;
    throw new AppError('input.schema', `${what} ${path} is not JSON: ${message}`, { cause });
  }
  throw new AppError('input.schema', `${what} ${path} must hold a JSON object`);
}
