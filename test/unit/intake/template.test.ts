import { describe, expect, it } from 'vitest';
import { parseLineRequest } from '../../../src/batch/index.ts';
import { buildLineBody, defaultTemplate, parseTemplate } from '../../../src/intake/template.ts';

const models = ['quire-nano', 'other'];
const parse = (value: unknown) => parseTemplate(Buffer.from(JSON.stringify(value)), models);
const fileId = `file-${'a'.repeat(24)}`;

describe('parseTemplate', () => {
  it('reads everything the format has', () => {
    const schema = { type: 'string' };
    const template = parse({
      version: 1,
      model: 'other',
      questions: [{ id: 'a', question: 'A?', schema }],
      answer: 'json',
      include: ['*.md'],
      wait_for_ready: true,
      temperature: 0.5,
      seed: 7,
    });
    expect(template).toEqual({
      model: 'other',
      questions: [{ id: 'a', question: 'A?', schema }],
      answer: 'json',
      include: ['*.md'],
      waitForReady: true,
      options: { temperature: 0.5, seed: 7 },
    });
    expect(buildLineBody(template, { id: 'a', question: 'A?', schema }, fileId)).toEqual({
      model: 'other',
      documents: [{ file_id: fileId }],
      question: 'A?',
      answer: 'json',
      schema,
      temperature: 0.5,
      seed: 7,
    });
  });

  it('makes the default of an empty object, and lines that can run', () => {
    expect(parse({})).toEqual(defaultTemplate(models));
    const template = defaultTemplate(models);
    const [question] = template.questions;
    if (question === undefined) throw new Error('no question');
    expect(parseLineRequest('/v1/analyses', buildLineBody(template, question, fileId), models).type).toBe('analysis');
  });

  it.each([
    [
      {
        questions: [
          { id: 'a', question: 'A?' },
          { id: 'a', question: 'B?' },
        ],
      },
      'question id "a" is used twice; ids must be unique',
    ],
    [{ questions: [{ id: 'a' }] }, 'questions[0].question is missing'],
    [{ questions: [{ id: '', question: 'A?' }] }, 'questions[0].id is ""; it must be a text'],
    [
      { questions: [{ id: 'a', question: 'A?', answers: 1 }] },
      'unknown field questions[0].answers; known: id, question, schema',
    ],
    [
      { questions: [{ id: 'a', question: 'A?', schema: 'x' }] },
      'questions[0].schema is "x"; it must be a JSON schema object',
    ],
    [{ answer: 'xml' }, 'answer is "xml"; it must be one of json, text'],
    [{ include: '*.md' }, 'include is "*.md"; it must be an array of 1 to 100 patterns such as "*.md"'],
    [{ wait_for_ready: 'yes' }, 'wait_for_ready is "yes"; it must be true or false'],
    [
      { answer: 'text', questions: [{ id: 'a', question: 'A?', schema: {} }] },
      'question "a": schema needs answer "json"; answer is "text"',
    ],
  ])('says what is wrong in %j', (value, message) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ message }));
  });
});
