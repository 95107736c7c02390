import { AppError } from '../base/errors.ts';
import { parseLineRequest } from '../batch/index.ts';

export interface TemplateQuestion {
  readonly id: string;
  readonly question: string;
  readonly schema: Readonly<Record<string, unknown>> | null;
}

/** What is asked of every document of a folder. */
export interface Template {
  readonly model: string;
  readonly questions: readonly TemplateQuestion[];
  readonly answer: 'json' | 'text';
  /** null: every document. */
  readonly include: readonly string[] | null;
  readonly waitForReady: boolean;
  /** Fields of an analysis body that every question gets as they are. */
  readonly options: Readonly<Record<string, unknown>>;
}

const optionFields = [
  'max_completion_tokens',
  'thinking_budget',
  'temperature',
  'seed',
  'tools',
  'max_tool_calls',
  'reflect',
] as const;
const templateFields = ['version', 'model', 'questions', 'answer', 'include', 'wait_for_ready', ...optionFields];
const questionFields = ['id', 'question', 'schema'];
const maxQuestions = 1_000;
const maxIdCharacters = 512;

const defaultQuestion: TemplateQuestion = {
  id: 'summary',
  question: 'Summarize the document in five sentences, citing pages.',
  schema: null,
};

/** What a folder without `analysis.json` does. */
export function defaultTemplate(models: readonly string[]): Template {
  return {
    model: firstOf(models),
    questions: [defaultQuestion],
    answer: 'json',
    include: null,
    waitForReady: false,
    options: {},
  };
}

/** @throws `input.*` saying what is wrong, without naming the file */
export function parseTemplate(body: Uint8Array, models: readonly string[]): Template {
  const value = parseObject(body);
  refuseUnknown(value, templateFields, '');
  if ((value['version'] ?? 1) !== 1) {
    throw refused('version', `version is ${show(value['version'])}; this program knows 1`);
  }
  const template: Template = {
    model: value['model'] === undefined ? firstOf(models) : readText(value['model'], 'model'),
    questions: parseQuestions(value['questions']),
    answer: parseAnswer(value['answer']),
    include: parseInclude(value['include']),
    waitForReady: parseFlag(value['wait_for_ready'], 'wait_for_ready'),
    options: Object.fromEntries(
      optionFields.filter((field) => value[field] !== undefined).map((field) => [field, value[field]]),
    ),
  };
  for (const question of template.questions) checkQuestion(template, question, models);
  return template;
}

/** The body of the line that asks one question of one document. */
export function buildLineBody(
  template: Template,
  { question, schema }: TemplateQuestion,
  fileId: string,
): Record<string, unknown> {
  return {
    model: template.model,
    documents: [{ file_id: fileId }],
    question,
    answer: template.answer,
    ...(schema === null ? {} : { schema }),
    ...template.options,
  };
}

/** Finds out now what would otherwise become an error line of every document. */
function checkQuestion(template: Template, question: TemplateQuestion, models: readonly string[]): void {
  const anyFile = `file-${'0'.repeat(24)}`;
  try {
    parseLineRequest('/v1/analyses', buildLineBody(template, question, anyFile), models);
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    throw new AppError(cause.code, `question ${show(question.id)}: ${cause.message}`, { cause });
  }
}

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new AppError('input.invalid-json', 'not valid JSON in UTF-8', { cause });
  }
  if (isObject(value)) return value;
  throw new AppError('input.invalid-json', `it holds ${show(value)}; it must be a JSON object`);
}

function parseQuestions(value: unknown): readonly TemplateQuestion[] {
  if (value === undefined) return [defaultQuestion];
  if (!Array.isArray(value) || value.length === 0 || value.length > maxQuestions) {
    throw refused('questions', `questions is ${show(value)}; it must be an array of 1 to ${maxQuestions} questions`);
  }
  const questions = value.map((each: unknown, index) => parseQuestion(each, `questions[${index}]`));
  const seen = new Set<string>();
  for (const { id } of questions) {
    if (seen.has(id)) throw refused('questions', `question id ${show(id)} is used twice; ids must be unique`);
    seen.add(id);
  }
  return questions;
}

function parseQuestion(value: unknown, path: string): TemplateQuestion {
  if (!isObject(value)) throw refused(path, `${path} is ${show(value)}; it must be an object`);
  refuseUnknown(value, questionFields, `${path}.`);
  const id = readText(value['id'], `${path}.id`);
  if (id.length > maxIdCharacters) {
    throw refused(path, `${path}.id has ${id.length} characters; at most ${maxIdCharacters} are allowed`);
  }
  const schema = value['schema'] ?? null;
  if (schema !== null && !isObject(schema)) {
    throw refused(path, `${path}.schema is ${show(schema)}; it must be a JSON schema object`);
  }
  return { id, question: readText(value['question'], `${path}.question`), schema };
}

function parseAnswer(value: unknown): 'json' | 'text' {
  const answer = value ?? 'json';
  if (answer === 'json' || answer === 'text') return answer;
  throw refused('answer', `answer is ${show(answer)}; it must be one of json, text`);
}

function parseInclude(value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.length > 0 && value.length <= 100) {
    return value.map((each: unknown, index) => readText(each, `include[${index}]`));
  }
  throw refused('include', `include is ${show(value)}; it must be an array of 1 to 100 patterns such as "*.md"`);
}

function parseFlag(value: unknown, field: string): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === 'boolean') return value;
  throw refused(field, `${field} is ${show(value)}; it must be true or false`);
}

function readText(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw refused(path, value === undefined ? `${path} is missing` : `${path} is ${show(value)}; it must be a text`);
}

function refuseUnknown(value: Readonly<Record<string, unknown>>, known: readonly string[], path: string): void {
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown === undefined) return;
  const param = `${path}${unknown.slice(0, 80)}`;
  throw new AppError('input.unknown-field', `unknown field ${param}; known: ${known.join(', ')}`, { param });
}

function firstOf(models: readonly string[]): string {
  const [model] = models;
  if (model !== undefined) return model;
  throw new AppError('bug.invariant', 'intake knows no model');
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function show(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const text = isObject(value) ? 'an object' : (JSON.stringify(value) ?? 'nothing');
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const refused = (param: string, message: string): AppError => new AppError('input.invalid-request', message, { param });
