import { describe, expect, it } from 'vitest';
import { AppError, serializeError } from '../../../src/base/errors.ts';
import { parseChildMessage } from '../../../src/local/child-messages.contract.ts';

describe('parseChildMessage', () => {
  it('keeps the details of a ready message', () => {
    expect(parseChildMessage({ type: 'ready', url: 'x', pids: { engine: 7 } })).toEqual({
      type: 'ready',
      url: 'x',
      pids: { engine: 7 },
    });
  });

  it('drops process numbers that are none', () => {
    expect(parseChildMessage({ type: 'pids', pids: { a: 1, b: '2', c: null } })).toEqual({
      type: 'pids',
      pids: { a: 1 },
    });
    expect(parseChildMessage({ type: 'ready', pids: 'none' })).toEqual({ type: 'ready', pids: {} });
  });

  it('carries an error across, whole', () => {
    const error = serializeError(new AppError('input.model-folder', 'no config.json', { details: { dir: 'x' } }));
    expect(parseChildMessage({ type: 'failed', error })).toEqual({ type: 'failed', error });
  });

  it('takes a failure without a known code as a fault of ours', () => {
    expect(parseChildMessage({ type: 'failed', error: { code: 'toString', message: 'x' } })).toEqual({
      type: 'failed',
      error: { code: 'bug.invariant', message: 'x', details: null, param: null },
    });
    expect(parseChildMessage({ type: 'failed' })).toMatchObject({ error: { message: 'failed without saying why' } });
  });

  it('ignores what is none of ours', () => {
    for (const value of [null, 'ready', 3, ['ready'], {}, { type: 'other' }]) {
      expect(parseChildMessage(value)).toBeUndefined();
    }
  });
});
