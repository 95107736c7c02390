import { type Clock, unixSeconds } from '../base/clock.ts';
import { errorCodes } from '../base/error-codes.ts';
import { type AppError, toAppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import { assertNever } from '../base/invariant.ts';
import type { AnalysisRequest, LineJournal, LineRequest } from '../batch/index.ts';
import type { GenerateProgress, GenerateRequest, ModelCard } from '../engine/index.ts';
import { coverAll, coverByTools } from './coverage.ts';
import type { Document } from './document/document.ts';
import { DocumentLoader } from './load-documents.ts';
import type { Embed, Generate, LoadDocument, OpenDeltas } from './ports.ts';
import { reflectOn } from './reflect.ts';
import { generateSound } from './repair-answer.ts';
import {
  type AnalysisAnswer,
  buildAnalysisRequest,
  buildAnswerFormat,
  presentAnalysis,
  showsWhole,
} from './run-analysis.ts';
import { generateChoices, type LineContext, presentChatCompletion } from './run-chat.ts';
import { buildEmbedRequest, presentEmbeddings } from './run-embeddings.ts';
import { embedToEnd } from './run-to-end.ts';
import { generateWithTools, type ToolAnswer } from './run-tool-loop.ts';
import { buildDocumentTools, buildToolRegistry } from './tools/registry.ts';

export interface LineRunnerDeps {
  readonly generate: Generate;
  readonly embed: Embed;
  readonly loadDocument: LoadDocument;
  readonly card: ModelCard;
  readonly clock: Clock;
}

/** A line to run; its name is batch id and index, so a rerun repeats the ids in its answer. */
export interface LineTask extends LineContext {
  readonly request: LineRequest;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: GenerateProgress) => void;
  /** What the line knows of its earlier life, and where it writes down how far it is. */
  readonly journal: LineJournal;
  /** Who takes a streamed answer while it is written; null: nobody listens. */
  readonly openDeltas: OpenDeltas | null;
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
    const { generate, embed, card, clock } = this.#deps;
    const { request, signal } = task;
    const token = sha256Hex(task.name).slice(0, 24);
    switch (request.type) {
      case 'chat': {
        const generations = await generateChoices(generate, task, request.chat, task, task.openDeltas);
        return presentChatCompletion(`chatcmpl-${token}`, unixSeconds(clock.nowMs()), generations, card);
      }
      case 'analysis': {
        const { analysis } = request;
        const documents = await this.#documents.loadAll(analysis.documents, signal);
        const answer = await this.#analyse(task, analysis, documents);
        return presentAnalysis(`an_${token}`, analysis, documents, answer, card);
      }
      case 'embeddings': {
        const { embeddings } = request;
        const { result, effort } = await embedToEnd(embed, buildEmbedRequest(task, embeddings), task);
        return presentEmbeddings(embeddings, result, effort, card);
      }
      default:
        return assertNever(request);
    }
  }

  async #analyse(task: LineTask, analysis: AnalysisRequest, documents: readonly Document[]): Promise<AnalysisAnswer> {
    const { generate, card } = this.#deps;
    const { signal, onProgress, journal } = task;
    const options = { signal, onProgress, journal };
    const isWhole = showsWhole(analysis, documents, card);
    const request = buildAnalysisRequest(task, analysis, documents, isWhole, card);
    const { maxToolCalls } = analysis;
    const registry = maxToolCalls === null ? null : buildToolRegistry(buildDocumentTools(documents));
    const ask = async (one: GenerateRequest, usedCalls: number): Promise<ToolAnswer> =>
      registry === null || maxToolCalls === null
        ? { generation: await generateSound(generate, one, options), uses: [], messages: one.messages }
        : generateWithTools(generate, one, registry, maxToolCalls - usedCalls, options);
    const draft = await ask(request, 0);
    const { generation, uses, reflection } = analysis.reflect
      ? await reflectOn(
          draft,
          request,
          buildAnswerFormat(analysis, documents, true),
          (check) => ask(check, draft.uses.length),
          signal,
        )
      : { ...draft, reflection: null };
    const coverage = isWhole ? coverAll(documents) : coverByTools(documents, uses);
    return { generation, uses: maxToolCalls === null ? null : uses, coverage, reflection };
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
