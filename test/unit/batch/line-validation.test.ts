import { describe, expect, it } from 'vitest';
import { type LineLimits, type ValidatedLine, validateLines } from '../../../src/batch/line-validation.ts';
import type { BatchError, Line } from '../../../src/batch/records.schema.ts';

const limits: LineLimits = { maxLines: 50_000, maxLineBytes: 1 << 20 };
const endpoint = '/v1/chat/completions';

const line = (customId: unknown, more: Record<string, unknown> = {}): string =>
  JSON.stringify({ custom_id: customId, method: 'POST', url: endpoint, body: { model: 'm' }, ...more });

/** Bytes in chunks of a size that cuts wherever it hurts. */
async function* chunked(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes);
}

async function validate(
  input: string | Uint8Array,
  options: Partial<LineLimits> & { chunkBytes?: number } = {},
): Promise<{ lines: Line[]; errors: BatchError[] }> {
  const bytes = typeof input === 'string' ? Buffer.from(input) : input;
  const all: ValidatedLine[] = [];
  const source = chunked(bytes, options.chunkBytes ?? 7);
  for await (const one of validateLines(source, { endpoint, limits: { ...limits, ...options } })) all.push(one);
  return {
    lines: all.flatMap((one) => (one.type === 'line' ? [one.line] : [])),
    errors: all.flatMap((one) => (one.type === 'error' ? [one.error] : [])),
  };
}

describe('validateLines', () => {
  it('gives lines with their 0-based place, whatever the chunk borders', async () => {
    const text = `${line('ä-日本-🙂')}\n${line('b')}\n`;
    const whole = await validate(text, { chunkBytes: 1 << 20 });
    expect(whole.lines.map(({ index, custom_id }) => [index, custom_id])).toEqual([
      [0, 'ä-日本-🙂'],
      [1, 'b'],
    ]);
    for (const chunkBytes of [1, 2, 3, 5, 8, 64]) expect(await validate(text, { chunkBytes })).toEqual(whole);
  });

  it('accepts CRLF, a byte order mark, blank lines at the end, and a last line without line end', async () => {
    const { lines, errors } = await validate(`\ufeff${line('a')}\r\n${line('b')}\r\n\r\n  \n`);
    expect(errors).toEqual([]);
    expect(lines).toHaveLength(2);
    expect((await validate(line('a'))).lines).toHaveLength(1);
  });

  it('lists every bad line with number and code', async () => {
    const input = [
      line('good'),
      '{"custom_id": "broken',
      '[1]',
      line(undefined),
      line(''),
      line(7),
      line('x'.repeat(513)),
      line('good'),
      line('m', { method: 'GET' }),
      line('u', { url: '/v1/nothing' }),
      line('v', { url: '/v1/analyses' }),
      line('w', { body: 'text' }),
      line('y', { extra: 1 }),
      '',
      line('last'),
    ].join('\n');
    const { lines, errors } = await validate(input);
    expect(errors.map(({ line: number, code }) => [number, code])).toEqual([
      [2, 'invalid_json_line'],
      [3, 'invalid_json_line'],
      [4, 'missing_custom_id'],
      [5, 'missing_custom_id'],
      [6, 'invalid_custom_id'],
      [7, 'invalid_custom_id'],
      [8, 'duplicate_custom_id'],
      [9, 'invalid_method'],
      [10, 'invalid_url'],
      [11, 'url_mismatch'],
      [12, 'invalid_body'],
      [13, 'unknown_parameter'],
      [14, 'invalid_json_line'],
    ]);
    expect(errors[6]?.message).toBe('custom_id "good" is used by line 1 already; it must be unique in the file');
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(['good', 'last']);
  });

  it('leaves what is wrong inside a body to the line', async () => {
    const { errors } = await validate(line('a', { body: { model: 'nobody', temperature: 'hot', what: 1 } }));
    expect(errors).toEqual([]);
  });

  it('refuses invalid UTF-8 by line', async () => {
    const bytes = Buffer.concat([Buffer.from(`${line('a')}\n`), Buffer.from([0x7b, 0xff, 0xfe, 0x7d, 0x0a])]);
    expect((await validate(bytes)).errors).toMatchObject([{ code: 'invalid_encoding', line: 2 }]);
  });

  it('allows a line of exactly the limit and refuses one byte more, without keeping it', async () => {
    const exact = line('a');
    const maxLineBytes = exact.length;
    expect((await validate(`${exact}\r\n`, { maxLineBytes })).errors).toEqual([]);
    expect((await validate(`\ufeff${exact}\n`, { maxLineBytes })).errors).toEqual([]);
    const { errors } = await validate(`${exact} \n${line('b')}`, { maxLineBytes });
    expect(errors).toMatchObject([{ code: 'line_too_long', line: 1 }]);
    expect(errors[0]?.message).toBe(`the line has ${maxLineBytes + 1} bytes; at most ${maxLineBytes} are allowed`);
  });

  it('refuses nesting that would overflow a stack', async () => {
    const body = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    const text = `{"custom_id":"a","method":"POST","url":"${endpoint}","body":${body}}`;
    expect((await validate(text, { chunkBytes: 1 << 16 })).errors).toMatchObject([
      { code: 'invalid_json_line', line: 1 },
    ]);
  });

  it.each(['', '\n\n \r\n', '\ufeff'])('refuses a file without lines: %j', async (text) => {
    expect((await validate(text)).errors).toMatchObject([{ code: 'empty_batch', line: null }]);
  });

  it('counts lines over the limit instead of checking them', async () => {
    const { errors } = await validate(['a', 'b', 'c', 'd'].map((id) => line(id)).join('\n'), { maxLines: 2 });
    expect(errors).toEqual([
      { code: 'too_many_tasks', message: 'the input file has 4 lines; at most 2 are allowed', param: null, line: null },
    ]);
  });

  it('reports at most the line limit of blank lines', async () => {
    const { errors } = await validate(`${'\n'.repeat(10_000)}${line('a')}`, { maxLines: 5, chunkBytes: 4096 });
    expect(errors).toHaveLength(5);
  });

  it('checks 50,000 lines within seconds', async () => {
    const text = Array.from({ length: 50_000 }, (_, index) => line(`request-${index}`)).join('\n');
    const startMs = performance.now();
    const { lines } = await validate(text, { chunkBytes: 1 << 16 });
    expect(lines).toHaveLength(50_000);
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});
