import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import type { GenerateCheckpoint, GenerateRequest, GenerateResult } from '../../../src/engine/index.ts';
import type { EngineCallOptions } from '../../../src/pipeline/index.ts';
import { embedToEnd, generateToEnd } from '../../../src/pipeline/run-to-end.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

const request = { id: 'line', resume: null } as GenerateRequest;
const never = new AbortController().signal;

const checkpointOf = (tokens: number): GenerateCheckpoint => ({
  version: 1,
  engineDigest: 'e',
  promptDigest: 'p',
  tokenIds: Array.from({ length: tokens }, (_, id) => id),
  draws: tokens,
  logprobs: null,
  pages: [],
  cachedTokens: 0,
  cacheMiss: null,
});

/** As the engine's client throws it: the checkpoint is there, but not for logs. */
function engineEnd(checkpoint: GenerateCheckpoint | null): AppError {
  const details = Object.defineProperty({ running: true }, 'checkpoint', { value: checkpoint, enumerable: false });
  return new AppError('transient.engine-interrupted', 'engine process ended: signal SIGKILL', { details });
}

type Try = (options: EngineCallOptions, asked: GenerateRequest) => Partial<GenerateResult>;

/** An engine whose tries are scripted. */
function scripted(...tries: readonly Try[]) {
  const asked: GenerateRequest[] = [];
  const run = (signal = never, openDeltas?: () => () => void, journal = new MemoryJournal()) =>
    generateToEnd(
      async (one, options) => {
        asked.push(one);
        const next = tries[asked.length - 1];
        if (next === undefined) throw new Error(`try ${asked.length} was not expected`);
        return generateResult(next(options, one));
      },
      request,
      { signal, onProgress: () => {}, journal, ...(openDeltas === undefined ? {} : { openDeltas }) },
    );
  return { asked, run };
}

const writing = ({ onProgress }: EngineCallOptions, completionTokens: number): void =>
  onProgress?.({ phase: 'answer', promptTokens: 9, prefilledTokens: 9, completionTokens });

describe('generateToEnd', () => {
  it('reports an undisturbed try as such', async () => {
    const { run } = scripted(() => ({ content: 'done' }));
    expect(await run()).toMatchObject({
      result: { content: 'done' },
      repair: null,
      effort: { attempts: 1, resumedFrom: null, resumed: null, wastedTokens: 0 },
    });
  });

  it('goes on from the checkpoint of the process that ended, and counts what was written behind it', async () => {
    const { run, asked } = scripted(
      (options) => {
        writing(options, 70);
        throw engineEnd(checkpointOf(64));
      },
      () => ({ resumed: 'exact', resumedTokens: 64 }),
    );
    expect((await run()).effort).toEqual({ attempts: 2, resumedFrom: 64, resumed: 'exact', wastedTokens: 6 });
    expect(asked.map(({ resume }) => resume?.tokenIds.length ?? null)).toEqual([null, 64]);
    // one name over all tries: by it the client knows who ends its processes
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
  });

  it('starts again when there was no checkpoint', async () => {
    const { run, asked } = scripted(
      (options) => {
        writing(options, 12);
        throw engineEnd(null);
      },
      () => ({}),
    );
    expect((await run()).effort).toEqual({ attempts: 2, resumedFrom: null, resumed: null, wastedTokens: 12 });
    expect(asked[1]?.resume).toBeNull();
  });

  it('keeps an older checkpoint when the next process ends before it made one', async () => {
    const { run, asked } = scripted(
      () => {
        throw engineEnd(checkpointOf(64));
      },
      () => {
        throw engineEnd(null);
      },
      () => ({ resumed: 'tokens', resumedTokens: 64 }),
    );
    expect((await run()).effort).toEqual({ attempts: 3, resumedFrom: 64, resumed: 'tokens', wastedTokens: 0 });
    expect(asked.map(({ resume }) => resume?.tokenIds.length ?? null)).toEqual([null, 64, 64]);
  });

  it('gives up a checkpoint that the engine cannot use, and its tokens with it', async () => {
    const { run, asked } = scripted(
      () => {
        throw engineEnd(checkpointOf(64));
      },
      () => {
        throw new AppError('corrupt.record', 'checkpoint does not fit the prompt');
      },
      () => ({}),
    );
    expect((await run()).effort).toEqual({ attempts: 3, resumedFrom: null, resumed: null, wastedTokens: 64 });
    expect(asked[2]?.resume).toBeNull();
  });

  it('throws damage that no checkpoint can be blamed for, and every other error', async () => {
    for (const code of [
      'corrupt.record',
      'input.context-length',
      'bug.engine-crash',
      'capacity.engine-busy',
    ] as const) {
      const { run, asked } = scripted(() => {
        throw new AppError(code, 'no');
      });
      await expect(run()).rejects.toMatchObject({ code });
      expect(asked).toHaveLength(1);
    }
  });

  it('does not try again for a caller that has left', async () => {
    const leave = new AbortController();
    const { run, asked } = scripted(() => {
      leave.abort(new AppError('cancelled.by-user', 'left'));
      throw engineEnd(null);
    });
    await expect(run(leave.signal)).rejects.toMatchObject({ code: 'transient.engine-interrupted' });
    expect(asked).toHaveLength(1);
  });

  it('opens the deltas anew for each try, and counts what they said was written', async () => {
    let opened = 0;
    const delta = { reasoning: '', content: 'x', toolCalls: [], logprobs: null, completionTokens: 9 };
    const { run } = scripted(
      ({ onDelta }) => {
        onDelta?.(delta);
        throw engineEnd(checkpointOf(4));
      },
      () => ({ resumed: 'exact', resumedTokens: 4 }),
    );
    const { effort } = await run(never, () => {
      opened += 1;
      return () => {};
    });
    expect(opened).toBe(2);
    expect(effort.wastedTokens).toBe(5);
  });
});

const running = { type: 'running', retries: 0, resumed: null, wastedTokens: 0 } as const;

describe('generateToEnd under a line that had another owner', () => {
  it('goes on where the journal says, and adds up what both owners met', async () => {
    const { run, asked } = scripted(
      () => {
        throw engineEnd(null);
      },
      () => ({ resumed: 'exact', resumedTokens: 64 }),
    );
    const line = { ...running, retries: 1, wastedTokens: 5, checkpoint: checkpointOf(64) };
    const { effort } = await run(never, undefined, new MemoryJournal(3, { line }));
    // two claims before, one lost try under one of them, one lost and one that answered under this one
    expect(effort).toEqual({ attempts: 5, resumedFrom: 64, resumed: 'exact', wastedTokens: 5 });
    expect(asked.map(({ resume }) => resume?.tokenIds.length)).toEqual([64, 64]);
  });

  it('writes down every checkpoint, and the end', async () => {
    const { run } = scripted(({ onCheckpoint }) => {
      expect(journal.find('line')).toEqual({ ...running, checkpoint: null });
      onCheckpoint?.(checkpointOf(64));
      expect(journal.find('line')).toEqual({ ...running, checkpoint: checkpointOf(64) });
      return { content: 'done' };
    });
    const journal = new MemoryJournal();
    const { result } = await run(never, undefined, journal);
    expect(journal.find('line')).toMatchObject({ type: 'ended', result, retries: 0, wastedTokens: 0 });
  });

  it('asks the engine nothing about a request that has ended', async () => {
    const { run, asked } = scripted();
    const ended = { ...running, type: 'ended', result: generateResult({ completionTokens: 90 }), retries: 2 } as const;
    const { result, effort } = await run(never, undefined, new MemoryJournal(2, { line: ended }));
    expect(asked).toEqual([]);
    expect(result).toEqual(ended.result);
    expect(effort).toEqual({ attempts: 4, resumedFrom: 90, resumed: 'exact', wastedTokens: 0 });
  });

  it('never calls bits exact again once an unequal engine wrote some of them', async () => {
    const elsewhere = { ...checkpointOf(96), engineDigest: 'another' };
    const first = scripted(({ onCheckpoint }) => {
      onCheckpoint?.(elsewhere);
      throw new AppError('cancelled.shutdown', 'stopping');
    });
    const journal = new MemoryJournal(2, { line: { ...running, checkpoint: checkpointOf(64) } });
    await expect(first.run(never, undefined, journal)).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    const second = scripted(() => ({ resumed: 'exact', resumedTokens: 96 }));
    expect((await second.run(never, undefined, journal)).effort.resumed).toBe('tokens');
  });

  it('starts over when its checkpoint is refused, and counts its tokens as wasted', async () => {
    const { run } = scripted(
      () => {
        throw new AppError('corrupt.record', 'checkpoint belongs to another prompt');
      },
      () => ({}),
    );
    const line = { ...running, resumed: 'tokens', checkpoint: checkpointOf(64) } as const;
    const { effort } = await run(never, undefined, new MemoryJournal(2, { line }));
    expect(effort).toEqual({ attempts: 3, resumedFrom: null, resumed: null, wastedTokens: 64 });
  });
});

describe('embedToEnd', () => {
  it('begins again when the engine process ended', async () => {
    let tries = 0;
    const embed = async () => {
      tries += 1;
      if (tries < 3) throw engineEnd(null);
      return { vectors: [], width: 4, promptTokens: 0 };
    };
    const journal = new MemoryJournal(2);
    const asked = { id: 'e', inputs: [], priority: 0, deadlineMs: null };
    const { effort } = await embedToEnd(embed, asked, { signal: never, journal });
    // the claim before, and three tries under this one
    expect(effort).toEqual({ attempts: 4, resumedFrom: null, resumed: null, wastedTokens: 0 });
  });
});
