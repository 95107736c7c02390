import { AppError } from '../../base/errors.ts';

/** One choice of a stored chat completion, as far as a stream repeats it. */
export interface StoredChoice {
  readonly reasoning: string;
  readonly content: string;
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly logprobs: readonly Readonly<Record<string, unknown>>[] | null;
  readonly finishReason: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** The choices of a stored completion, by index. @throws `corrupt.record` when it has not so many, or they are none */
export function readStoredChoices(body: Fields, total: number): StoredChoice[] {
  const choices: unknown = body['choices'];
  if (!Array.isArray(choices) || choices.length !== total) {
    throw new AppError('corrupt.record', `stored completion has no ${total} choices`);
  }
  return choices.map(readChoice);
}

function readChoice(choice: unknown): StoredChoice {
  const { message, logprobs, finish_reason: finishReason } = fieldsOf(choice);
  const { content, reasoning_content: reasoning, tool_calls: toolCalls } = fieldsOf(message);
  const { content: tokens } = fieldsOf(logprobs);
  return {
    reasoning: textOf(reasoning),
    content: textOf(content),
    toolCalls: arrayOf(toolCalls).map((call) => {
      const { id, function: called } = fieldsOf(call);
      const { name, arguments: text } = fieldsOf(called);
      return { id: textOf(id), name: textOf(name), arguments: textOf(text) };
    }),
    logprobs: Array.isArray(tokens) ? tokens.map(fieldsOf) : null,
    finishReason: textOf(finishReason),
  };
}

/** A worker of another version may leave members out: what is absent is empty. */
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const arrayOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
