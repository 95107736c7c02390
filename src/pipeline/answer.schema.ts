/** Bounds that keep a constrained answer finite; quotes are at most 40 words (dialogue format). */
const quoteChars = 400;
const citationTotal = 8;
/** An answer without a schema of the caller's: about 250 tokens of text, or a list of as many entries as a page holds. */
const answerChars = 1_000;
const answerItems = 64;

type JsonSchema = Readonly<Record<string, unknown>>;

const anyAnswer: JsonSchema = {
  anyOf: [
    { type: 'string', maxLength: answerChars },
    { type: 'number' },
    { type: 'boolean' },
    { type: 'null' },
    { type: 'array', items: {}, maxItems: answerItems },
    { type: 'object' },
  ],
};

/**
 * The JSON schema an analysis answer is decoded under.
 * @param answer the caller's schema for the `answer` member, or null for any JSON value
 * @param isChecked the answer is one after a draft, and may say that it corrects it
 */
export function buildAnswerSchema(
  answer: JsonSchema | null,
  documentTotal: number,
  pageTotal: number,
  isChecked = false,
): JsonSchema {
  return {
    type: 'object',
    properties: {
      answer: answer === null ? anyAnswer : (rebaseRefs(answer) as JsonSchema),
      citations: {
        type: 'array',
        maxItems: citationTotal,
        items: {
          type: 'object',
          properties: {
            document: { type: 'integer', minimum: 1, maximum: documentTotal },
            page: { type: 'integer', minimum: 1, maximum: pageTotal },
            quote: { type: 'string', maxLength: quoteChars },
          },
          required: ['document', 'page', 'quote'],
          additionalProperties: false,
        },
      },
      found: { type: 'boolean' },
      ...(isChecked ? { corrected: { type: 'boolean' } } : {}),
    },
    required: ['answer', 'citations', 'found'],
    additionalProperties: false,
  };
}

/** The caller's schema moves one level down, so its own references move with it. */
function rebaseRefs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rebaseRefs);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) =>
      key === '$ref' && typeof member === 'string' && member.startsWith('#')
        ? [key, `#/properties/answer${member.slice(1)}`]
        : [key, rebaseRefs(member)],
    ),
  );
}
