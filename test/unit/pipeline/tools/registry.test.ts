import { describe, expect, it } from 'vitest';
import { paginate } from '../../../../src/pipeline/document/parse-document.ts';
import { buildDocumentTools, buildToolRegistry } from '../../../../src/pipeline/tools/registry.ts';
import { declareTool } from '../../../../src/pipeline/tools/tool.ts';

const registry = buildToolRegistry(buildDocumentTools([paginate('a.txt', 'text')]));

describe('tool registry', () => {
  it('declares the tools in a fixed order, in OpenAI’s form', () => {
    const names = registry.declarations.map((one) => one.function.name);
    expect(names).toEqual(['search_document', 'read_pages', 'calculate']);
    expect(registry.declarations[2]).toEqual(
      declareTool(
        'calculate',
        'The exact value: + - * / ( ) %, sum(...), avg(...), min(...), max(...), date("2026-03-01").',
        { expression: { type: 'string' } },
        ['expression'],
      ),
    );
  });

  it.each([
    ['run', '{}', 'error: there is no tool "run"; call one of search_document, read_pages, calculate'],
    ['toString', '{}', 'error: there is no tool "toString"; call one of search_document, read_pages, calculate'],
    ['calculate', '{"expression"', 'error: arguments "{\\"expression\\"" are not JSON; give one JSON object'],
    ['calculate', '[1]', 'error: arguments are [1]; give one JSON object'],
    ['calculate', 'null', 'error: arguments are null; give one JSON object'],
    ['calculate', '{"__proto__":{"expression":"1"}}', 'error: unknown argument "__proto__"; allowed: expression'],
    ['calculate', '{"expression":1}', 'error: expression is 1; give text'],
    ['calculate', '{"expression":"1","round":2}', 'error: unknown argument "round"; allowed: expression'],
  ])('answers %s %s with an error line', (name, args, message) => {
    expect(registry.call(name, args)).toBe(message);
  });

  it('lets a fault of the tool itself through', () => {
    const broken = buildToolRegistry([
      {
        name: 'broken',
        declaration: declareTool('broken', '', {}, []),
        argumentSchema: {},
        run: () => {
          throw new TypeError('no');
        },
      },
    ]);
    expect(() => broken.call('broken', '{}')).toThrow(TypeError);
  });
});
