import { type AnswerState, openAnswer } from '../../src/engine/answer-state.ts';
import type { GenerateDelta, GenerateRequest, ToolCall } from '../../src/engine/messages.ts';
import { readSpecialTokens } from '../../src/engine/special-tokens.ts';
import { openGrammarCompiler } from '../../src/engine/structured/grammar.ts';
import { byteTokenizer, byteVocabulary } from './byte-tokenizer.ts';
import { chatMessage, generateRequest } from './test-engine.ts';

/** Answers to a fixed prompt with one token a byte, driven by hand. */
export const answerSpecial = readSpecialTokens(byteTokenizer, byteVocabulary, [byteTokenizer.specialId('<|im_end|>')]);
const grammars = openGrammarCompiler(byteTokenizer, answerSpecial.stopIds);
const promptIds = byteTokenizer.encodePlain('a prompt');

export function openTestAnswer(more: Partial<GenerateRequest> = {}, maxTokens = 400): AnswerState {
  const deps = { tokenizer: byteTokenizer, special: answerSpecial, grammars };
  return openAnswer(deps, generateRequest('r', more), { ids: promptIds, maxTokens });
}

/** `<…>` parts become special tokens, all others plain text. */
export function encodeParts(...parts: readonly string[]): readonly number[] {
  return parts.flatMap((part) =>
    /^<.+>$/.test(part) ? [byteTokenizer.specialId(part)] : byteTokenizer.encodePlain(part),
  );
}

export function toolDeclaration(name: string, parameters?: unknown): Readonly<Record<string, unknown>> {
  return { type: 'function', function: { name, ...(parameters === undefined ? {} : { parameters }) } };
}

/** An earlier message with so many calls. */
export function messageWithCalls(total: number) {
  const toolCalls: ToolCall[] = Array.from({ length: total }, (_, index) => ({
    id: `functions.x:${index}`,
    arguments: '{}',
  }));
  return { ...chatMessage('assistant', ''), toolCalls };
}

/** Logits under which greedy takes this token. */
export function favour(id: number): Float32Array {
  const logits = new Float32Array(byteVocabulary);
  logits[id] = 5;
  return logits;
}

export interface Written {
  /** What the engine wrote by itself. */
  readonly forced: readonly number[];
  /** What the model was asked for and wrote. */
  readonly sampled: readonly number[];
  readonly deltas: readonly GenerateDelta[];
}

/** A model that wants to write these tokens, whenever it is asked. */
export function writeTokens(answer: AnswerState, wanted: readonly number[]): Written {
  const [forced, sampled]: [number[], number[]] = [[], []];
  const deltas: GenerateDelta[] = [];
  const takeDelta = (): void => {
    const delta = answer.takeDelta();
    if (delta !== null) deltas.push(delta);
  };
  forced.push(...answer.takeForced());
  takeDelta();
  for (const id of wanted) {
    if (answer.ended) break;
    const taken = answer.next(favour(id));
    if (taken !== null) sampled.push(taken);
    forced.push(...answer.takeForced());
    takeDelta();
  }
  return { forced, sampled, deltas };
}

/** Tokens that may come next. The answer goes on with one of them. */
export function listAllowed(answer: AnswerState): readonly number[] {
  const logits = new Float32Array(byteVocabulary);
  answer.next(logits);
  return [...logits.keys()].filter((id) => logits[id] === 0);
}

/** What a reader of the deltas alone has in the end. */
export function joinDeltas(deltas: readonly GenerateDelta[]) {
  const toolCalls: { id: string; name: string; arguments: string }[] = [];
  for (const { index, id, name, arguments: text } of deltas.flatMap((delta) => delta.toolCalls)) {
    if (id !== null && name !== null) toolCalls[index] = { id, name, arguments: text };
    else (toolCalls[index] as { arguments: string }).arguments += text;
  }
  return {
    reasoning: deltas.map(({ reasoning }) => reasoning).join(''),
    content: deltas.map(({ content }) => content).join(''),
    toolCalls,
    logprobs: deltas.flatMap(({ logprobs }) => logprobs ?? []),
  };
}
