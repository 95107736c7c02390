import { evaluate, formatQuantity } from './expression.ts';
import { boundArguments, declareTool, readTextArgument, type Tool } from './tool.ts';

const expressionChars = 2_000;

/** `calculate`: the value of an expression, exact as long as it can be written as a decimal. */
export function buildCalculate(): Tool {
  const name = 'calculate';
  const declaration = declareTool(
    name,
    'The exact value: + - * / ( ) %, sum(...), avg(...), min(...), max(...), date("2026-03-01").',
    { expression: { type: 'string' } },
    ['expression'],
  );
  return {
    name,
    declaration,
    argumentSchema: boundArguments(declaration, { expression: { minLength: 1, maxLength: expressionChars } }),
    run: (args) => formatQuantity(evaluate(readTextArgument(args, 'expression', expressionChars))),
  };
}
