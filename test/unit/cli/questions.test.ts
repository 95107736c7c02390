import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildLines } from '../../../src/cli/commands/submit.ts';
import { readQuestions, readSchema } from '../../../src/cli/questions.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeAll(async () => {
  folder = await openTemporaryFolder('questions');
});
afterAll(() => folder.remove());

async function write(name: string, text: string): Promise<string> {
  const path = join(folder.path, name);
  await writeFile(path, text);
  return path;
}

describe('readQuestions', () => {
  it('numbers the questions and keeps only the fields that were given', async () => {
    const asked = await readQuestions({ ask: ['one?', 'two?'], maxTokens: 64, temperature: 0, seed: 7 });
    expect(asked).toEqual({
      questions: [
        { id: 'q1', text: 'one?' },
        { id: 'q2', text: 'two?' },
      ],
      schema: null,
      answer: 'json',
      fields: { max_completion_tokens: 64, temperature: 0, seed: 7 },
    });
  });

  it.each([
    [{}, /nothing is asked; give at least one --ask/],
    [{ ask: ['one?', '  '] }, /question 2 \(--ask\) is empty/],
    [{ ask: ['one?'], answer: 'text' as const, schema: 's.json' }, /--schema needs --answer json/],
  ])('refuses %j', async (options, message) => {
    await expect(readQuestions(options)).rejects.toMatchObject({
      code: 'input.invalid-request',
      message: expect.stringMatching(message),
    });
  });
});

describe('readSchema', () => {
  it('takes schemas of the dialects in use', async () => {
    const plain = await write('plain.json', '{"type":"string"}');
    const modern = await write(
      'modern.json',
      '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","prefixItems":[{"type":"number"}]}',
    );
    expect(await readSchema(plain)).toEqual({ type: 'string' });
    expect(await readSchema(modern)).toMatchObject({ type: 'array' });
  });

  it('leaves dialects it does not know to the server', async () => {
    const other = await write('other.json', '{"$schema":"https://example.org/own","type":"string"}');
    expect(await readSchema(other)).toMatchObject({ type: 'string' });
  });

  it('names file and place of what is wrong', async () => {
    const wrong = await write('wrong.json', '{"type":"object","properties":{"days":{"type":"numbr"}}}');
    await expect(readSchema(wrong)).rejects.toMatchObject({
      code: 'input.schema',
      message: expect.stringMatching(/wrong\.json is no valid JSON schema at \/properties\/days\/type: must be/),
    });
    const broken = await write('broken.json', '{"type":');
    await expect(readSchema(broken)).rejects.toMatchObject({
      code: 'input.schema',
      message: expect.stringContaining('is not JSON'),
    });
    const list = await write('list.json', '[1]');
    await expect(readSchema(list)).rejects.toMatchObject({
      message: expect.stringContaining('must hold a JSON object'),
    });
    await expect(readSchema(join(folder.path, 'none.json'))).rejects.toMatchObject({
      code: 'input.not-found',
      message: expect.stringMatching(/^no such schema file: .*none\.json$/),
    });
    await mkdir(join(folder.path, 'sub'));
    await expect(readSchema(join(folder.path, 'sub'))).rejects.toMatchObject({
      message: expect.stringMatching(/is a folder$/),
    });
  });
});

describe('buildLines', () => {
  it('asks every question of one document, in lines next to each other', async () => {
    const asked = { ...(await readQuestions({ ask: ['one?', 'two?'], seed: 7 })), schema: { type: 'string' } };
    const lines = buildLines('lease.md', 'file-1', 'nano', asked).map(
      (line) => JSON.parse(line) as Record<string, unknown>,
    );
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(['lease.md/q1', 'lease.md/q2']);
    expect(lines[1]).toEqual({
      custom_id: 'lease.md/q2',
      method: 'POST',
      url: '/v1/analyses',
      body: {
        model: 'nano',
        documents: [{ file_id: 'file-1' }],
        question: 'two?',
        answer: 'json',
        schema: { type: 'string' },
        seed: 7,
      },
    });
  });
});
