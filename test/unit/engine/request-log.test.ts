import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import type { EngineService, GenerateListener } from '../../../src/engine/ports.ts';
import { logRequests } from '../../../src/engine/request-log.ts';
import { generateResult } from '../../support/generate-result.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeEach(async () => {
  folder = await openTemporaryFolder('request-log');
});

afterEach(() => folder.remove());

const progressOf = (completionTokens: number) =>
  ({ phase: 'think', promptTokens: 5, prefilledTokens: 5, completionTokens }) as const;

function engineWith(generate: EngineService['generate']): EngineService {
  const engine: Partial<EngineService> = { generate };
  return engine as EngineService;
}

const silent: GenerateListener = { onProgress: () => {}, onDelta: () => {}, onCheckpoint: () => {} };

function entries(path: string): unknown[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { pid, atMs, ...rest } = JSON.parse(line) as Record<string, unknown>;
      expect([pid, typeof atMs]).toEqual([process.pid, 'number']);
      return rest;
    });
}

describe('logRequests', () => {
  it('writes start, every gain of tokens once, and the end', async () => {
    const path = join(folder.path, 'log');
    const engine = engineWith(async (_request, listener) => {
      for (const tokens of [0, 1, 1, 3]) listener.onProgress(progressOf(tokens));
      return generateResult({ completionTokens: 4 });
    });
    const seen: number[] = [];
    const watching = {
      ...silent,
      onProgress: ({ completionTokens }: { completionTokens: number }) => seen.push(completionTokens),
    };
    const request = { id: 'a/0', resume: null } as GenerateRequest;
    await logRequests(engine, path, new HandClock()).generate(request, watching as unknown as GenerateListener);
    expect(seen).toEqual([0, 1, 1, 3]);
    expect(entries(path)).toEqual([
      { type: 'start', id: 'a/0', tokens: 0 },
      { type: 'tokens', id: 'a/0', tokens: 1 },
      { type: 'tokens', id: 'a/0', tokens: 3 },
      { type: 'end', id: 'a/0', tokens: 4 },
    ]);
  });

  it('counts from where a resumed answer stood, and tells of failures', async () => {
    const path = join(folder.path, 'log');
    const engine = engineWith(async (_request, listener) => {
      listener.onProgress(progressOf(2));
      listener.onProgress(progressOf(3));
      throw new Error('no');
    });
    const request = { id: 'b/1', resume: { tokenIds: [7, 8] } } as unknown as GenerateRequest;
    await expect(logRequests(engine, path).generate(request, silent)).rejects.toThrow('no');
    expect(entries(path)).toEqual([
      { type: 'start', id: 'b/1', tokens: 2 },
      { type: 'tokens', id: 'b/1', tokens: 3 },
      { type: 'fail', id: 'b/1', tokens: 3 },
    ]);
  });
});
