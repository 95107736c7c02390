import { describe, expect, it } from 'vitest';
import { sumKernels } from '../../bench/kernel-times.ts';

const run = (ts: number) => ({ cat: 'Session', name: 'model_run', ts, dur: 100 });
const kernel = (ts: number, dur: number, op: string, more = {}) => ({
  cat: 'Node',
  name: `${op}_kernel_time`,
  ts,
  dur,
  args: { op_name: op, ...more },
});
const product = {
  input_type_shape: [{ float: [1, 64] }],
  output_type_shape: [{ float: [1, 32] }],
};

describe('sumKernels', () => {
  it('takes the mean of the runs behind the first ones, a branch without what is in it', () => {
    const events = [
      run(0),
      kernel(10, 50, 'Add'),
      run(200),
      // the profile is written as events end: what is inside comes first
      kernel(220, 18, 'MatMulNBits', product),
      kernel(240, 5, 'Add'),
      kernel(210, 40, 'If'),
      kernel(260, 7, 'Add'),
      run(400),
      kernel(410, 8, 'Add'),
      { cat: 'Node', name: 'Add_fence_before', ts: 405, dur: 1000 },
    ];
    expect(sumKernels([JSON.stringify(events)], 1)).toEqual([
      { title: 'Add', times: 1.5, ms: 0.01 },
      { title: 'MatMulNBits, 64 → 32', times: 0.5, ms: 0.009 },
      { title: 'If', times: 0.5, ms: 0.0085 },
    ]);
  });

  it('adds up the graphs of a model', () => {
    const text = JSON.stringify([run(0), kernel(1, 3000, 'Add')]);
    expect(sumKernels([text, text], 0)).toEqual([{ title: 'Add', times: 2, ms: 6 }]);
  });

  it('rejects a profile without a run that counts', () => {
    expect(() => sumKernels([JSON.stringify([run(0)])], 1)).toThrow('a profile of 1 runs, wanted more than 1');
  });
});
