import { AppError } from '../base/errors.ts';
import { unitIdOf } from '../base/ids.ts';
import { type BatchStore, isTerminal, openUnitLog } from '../batch/index.ts';
import type { BatchRecord, OutputLine } from '../batch/records.schema.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { errorTypeOf, presentError } from './present/error.ts';

/** What the line of a one-line batch came to, as it would be answered over HTTP. */
export interface LineAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface LineName {
  readonly tenant: string;
  readonly batchId: string;
}

/** Looks for the answer of a one-line batch; undefined while there is none. */
export type FindLineAnswer = () => Promise<LineAnswer | undefined>;

/**
 * The unit log has an answer first; a line that was refused before it became a unit stands only in the batch's error
 * file. Looking again costs one read of the log and one of the record.
 */
export function buildAnswerFinder(store: ObjectStore, batches: BatchStore, name: LineName): FindLineAnswer {
  const { tenant, batchId } = name;
  const log = openUnitLog(store, tenant, batchId, unitIdOf(0));
  const findInLog = async (): Promise<LineAnswer | undefined> => {
    const result = (await log.fold()).results.get(0);
    return result === undefined ? undefined : presentLine(result.output);
  };
  return async () => {
    const early = await findInLog();
    if (early !== undefined) return early;
    const record = await batches.getBatch(tenant, batchId);
    if (!isTerminal(record.status)) return undefined;
    // the log may have ended between the two reads
    const late = await findInLog();
    if (late !== undefined) return late;
    const refused = await findFirstLine(store, keys.errors(tenant, batchId));
    return refused === undefined ? presentFailure(endWithoutAnswer(record)) : presentLine(refused);
  };
}

async function findFirstLine(store: ObjectStore, key: string): Promise<OutputLine | undefined> {
  const object = await store.get(key);
  if (object === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(object.body).toString('utf8').split('\n', 1)[0] ?? '') as OutputLine;
  } catch (cause) {
    throw new AppError('corrupt.record', 'result file does not start with a JSON line', { details: { key }, cause });
  }
}

function presentLine({ response, error }: OutputLine): LineAnswer {
  if (response === null) return presentFailure(errorOfLine(error?.code ?? '', error?.message ?? 'no answer'));
  const { status_code: status, body } = response;
  return status < 400 ? { status, body } : { status, body: { error: presentErrorMember(status, body['error']) } };
}

/** A worker of another version may leave members out; every error answer has all of them. */
function presentErrorMember(status: number, member: unknown): Readonly<Record<string, unknown>> {
  const { message, type, param, code, ext } = (member ?? {}) as Readonly<Record<string, unknown>>;
  return {
    message: typeof message === 'string' ? message : 'the request failed',
    type: typeof type === 'string' ? type : errorTypeOf(status),
    param: typeof param === 'string' ? param : null,
    code: typeof code === 'string' ? code : null,
    ext: typeof ext === 'object' && ext !== null ? ext : { code: 'bug.invariant' },
  };
}

function endWithoutAnswer(record: BatchRecord): AppError {
  const [first] = record.errors;
  if (first === undefined) return errorOfLine(`batch_${record.status}`, `the request is ${record.status}`);
  return new AppError('input.invalid-request', first.message, first.param === null ? {} : { param: first.param });
}

function errorOfLine(code: string, message: string): AppError {
  switch (code) {
    case 'batch_cancelled':
      return new AppError('cancelled.by-user', message);
    case 'batch_expired':
      return new AppError('transient.timeout', message);
    default:
      return new AppError('bug.invariant', `request ended with ${code}: ${message}`);
  }
}

function presentFailure(error: AppError): LineAnswer {
  const { status, body } = presentError(error);
  return { status, body };
}
