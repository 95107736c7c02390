import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readOneOf,
  readThinkingBudget,
  refuseUnknown,
  show,
} from './request-fields.ts';

/** Tokens of thought behind OpenAI's words; the last two leave it to the model. */
const effortBudgets = { none: 0, minimal: 256, low: 1_024, medium: 4_096, high: null, xhigh: null } as const;

/**
 * Four servers, four ways to say how much to think; all are read, and must agree.
 * @returns most tokens of reasoning; 0 forbids it, null leaves it to the model
 * @throws `input.invalid-request`, `input.unknown-field`
 */
export function parseThinking(body: Body): number | null {
  const effort = readOneOf(body, 'reasoning_effort', ['none', 'minimal', 'low', 'medium', 'high', 'xhigh']);
  const asked = [
    { field: 'thinking_budget', budget: isAbsent(body['thinking_budget']) ? undefined : readThinkingBudget(body) },
    { field: 'thinking', budget: readThinkingSwitch(body['thinking']) },
    { field: 'chat_template_kwargs', budget: readTemplateSwitch(body['chat_template_kwargs']) },
    { field: 'reasoning_effort', budget: effort === null ? undefined : effortBudgets[effort] },
  ].filter((one): one is { field: string; budget: number | null } => one.budget !== undefined);
  const [first, ...others] = asked;
  if (first === undefined) return null;
  // a switch that is on says nothing about how much, so it agrees with every budget but none
  const budgets = new Set(asked.map(({ budget }) => budget));
  if (budgets.size > 2 || (budgets.size === 2 && (!budgets.has(null) || budgets.has(0)))) {
    const names = [first, ...others].map(({ field }) => field).join(' and ');
    throw invalid(first.field, `${names} contradict each other; give one of them`);
  }
  return asked.find(({ budget }) => budget !== null)?.budget ?? null;
}

const thinkingFields = new Set(['type', 'budget_tokens']);

function readThinkingSwitch(value: unknown): number | null | undefined {
  if (isAbsent(value)) return undefined;
  if (!isPlainObject(value)) throw invalid('thinking', `thinking is ${show(value)}; it must be an object with a type`);
  refuseUnknown(value, thinkingFields, 'thinking.');
  if (value['type'] === 'disabled') return 0;
  if (value['type'] === 'enabled') return readThinkingBudget({ thinking_budget: value['budget_tokens'] });
  throw invalid('thinking.type', `thinking.type is ${show(value['type'])}; it must be one of enabled, disabled`);
}

const templateFields = new Set(['thinking', 'enable_thinking']);

function readTemplateSwitch(value: unknown): number | null | undefined {
  if (isAbsent(value)) return undefined;
  if (!isPlainObject(value)) {
    throw invalid('chat_template_kwargs', `chat_template_kwargs is ${show(value)}; it must be an object`);
  }
  refuseUnknown(value, templateFields, 'chat_template_kwargs.');
  const on = value['thinking'] ?? value['enable_thinking'];
  if (isAbsent(on)) return undefined;
  if (typeof on !== 'boolean') {
    throw invalid(
      'chat_template_kwargs.thinking',
      `chat_template_kwargs.thinking is ${show(on)}; it must be true or false`,
    );
  }
  return on ? null : 0;
}
