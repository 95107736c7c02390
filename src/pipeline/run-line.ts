import { type Clock, unixSeconds } from '../base/clock.ts';
import { errorCodes } from '../base/error-codes.ts';
import { type AppError, toAppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { LineRequest } from '../batch/index.ts';
import type { GenerateProgress, ModelCard } from '../engine/index.ts';
import { DocumentLoader } from './load-documents.ts';
import type { Generate, LoadDocument } from './ports.ts';
import { buildAnalysisRequest, presentAnalysis } from './run-analysis.ts';
import { buildChatRequest, presentChatCompletion } from './run-chat.ts';

export interface LineRunnerDeps {
  readonly generate: Generate;
  readonly loadDocument: LoadDocument;
  readonly card: ModelCard;
  readonly clock: Clock;
}

export interface LineTask {
  /** Stable name of the line: batch id and index. Ids in the answer derive from it, so a rerun repeats them. */
  readonly name: string;
  readonly request: LineRequest;
  /** Used when the request names none. */
  readonly seed: number;
  readonly priority: number;
  /** Tries so far that were lost with a process, this one included. */
  readonly attempts: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: GenerateProgress) => void;
}

/** What becomes of a line: an HTTP-like answer, whatever happened. */
export interface LineAnswer {
  readonly statusCode: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Runs validated requests through documents, prompt, engine and answer parsing. */
export class LineRunner {
  readonly #deps: LineRunnerDeps;
  readonly #documents: DocumentLoader;

  constructor(deps: LineRunnerDeps) {
    this.#deps = deps;
    this.#documents = new DocumentLoader(deps.loadDocument);
  }

  /**
   * @returns an answer with status 200; 400 when the line itself is wrong; 500 for a fault that trying again would not mend
   * @throws what is not the line's fault: `transient`, `capacity`, `ownership`, `cancelled`
   */
  async run(task: LineTask): Promise<LineAnswer> {
    try {
      return { statusCode: 200, body: await this.#answer(task) };
    } catch (error) {
      if (task.signal.aborted) throw task.signal.reason;
      const known = toAppError(error);
      if (known.family !== 'input' && known.family !== 'corrupt' && known.family !== 'bug') throw known;
      return presentLineError(known);
    }
  }

  async #answer(task: LineTask): Promise<Record<string, unknown>> {
    const { generate, card, clock } = this.#deps;
    const id = sha256Hex(task.name).slice(0, 24);
    const options = { signal: task.signal, onProgress: task.onProgress };
    if (task.request.type === 'chat') {
      const request = buildChatRequest(task.name, task.request.chat, task.seed, task.priority);
      const result = await generate(request, options);
      return presentChatCompletion(`chatcmpl-${id}`, unixSeconds(clock.nowMs()), result, card, task.attempts);
    }
    const { analysis } = task.request;
    const documents = await this.#documents.loadAll(analysis.documents, task.signal);
    const request = buildAnalysisRequest(task.name, analysis, documents, task.seed, task.priority);
    const result = await generate(request, options);
    return presentAnalysis(`an_${id}`, analysis, documents, result, card, task.attempts);
  }
}

/** The body OpenAI clients expect of an error, with our own code beside it. */
export function presentLineError(error: AppError): LineAnswer {
  const { family, status, openaiCode } = errorCodes[error.code];
  const isOwnFault = family === 'input';
  const type = isOwnFault ? 'invalid_request_error' : 'server_error';
  return {
    // on a line there is no route or body to be missing or too large: whatever is wrong with it is a bad request
    statusCode: isOwnFault ? 400 : status,
    body: { error: { message: error.message, type, param: error.param, code: openaiCode, ext: { code: error.code } } },
  };
}
