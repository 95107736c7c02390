import { describe, expect, it } from 'vitest';
import { columnsOf } from '../../../src/cli/plain-text.ts';
import { openProgress, type ProgressFrame, type ProgressRow, renderBar } from '../../../src/cli/progress.ts';
import { FakeClock, FakeStream } from './fake-io.ts';

const row = (label: string, done: number, over: Partial<ProgressRow> = {}): ProgressRow => ({
  label,
  state: 'running',
  bar: { done, total: 10, unit: 'lines' },
  detail: '',
  ...over,
});

const frame = (done: number, rows: readonly ProgressRow[] = [], over: Partial<ProgressRow> = {}): ProgressFrame => ({
  head: row('whole', done, over),
  rows,
});

describe('renderBar', () => {
  it('grows with the share and is full at the end only', () => {
    expect(renderBar(0, 10, 10)).toBe('░░░░░░░░░░');
    expect(renderBar(3, 10, 10)).toBe('███░░░░░░░');
    expect(renderBar(9_999, 10_000, 10)).toBe('█████████░');
    expect(renderBar(10, 10, 10)).toBe('██████████');
  });

  it('stays within its columns for figures that make no sense', () => {
    for (const [done, total] of [
      [5, 0],
      [-1, 10],
      [12, 10],
      [0, 0],
    ] as const) {
      expect(renderBar(done, total, 10)).toHaveLength(10);
    }
  });
});

describe('progress on a terminal', () => {
  it('draws each frame over the one before, also when rows come and go', () => {
    const stream = new FakeStream(100);
    const progress = openProgress(stream, new FakeClock());
    progress.show(frame(0));
    progress.show(frame(1, [row('one', 5), row('two', 1)]));
    expect(stream.screen()).toHaveLength(3);
    progress.show(frame(4, [row('two', 9)]));
    expect(stream.screen()).toHaveLength(2);
    expect(stream.screen()[0]).toContain('running: 4 of 10 lines');
    expect(stream.screen()[1]).toContain('two');
    progress.show(frame(10, [], { state: 'done' }));
    progress.end();
    expect(stream.screen()).toEqual([`whole ${'█'.repeat(24)} done: 10 of 10 lines`]);
  });

  it('writes nothing for a frame that looks the same', () => {
    const stream = new FakeStream(100);
    const progress = openProgress(stream, new FakeClock());
    progress.show(frame(1));
    const before = stream.writes.length;
    progress.show(frame(1));
    expect(stream.writes).toHaveLength(before);
  });

  it('keeps every line within the width, wide characters counted twice', () => {
    const stream = new FakeStream(50);
    const progress = openProgress(stream, new FakeClock());
    progress.show(
      frame(3, [row('契約書'.repeat(20), 5, { detail: '読み込み'.repeat(20) })], { detail: 'x'.repeat(200) }),
    );
    for (const line of stream.screen()) expect(columnsOf(line)).toBeLessThan(50);
    expect(stream.screen()).toHaveLength(2);
  });

  it('takes 80 columns where the terminal does not know its width', () => {
    const stream = new FakeStream(100);
    Object.defineProperty(stream, 'columns', { value: 0 });
    openProgress(stream, new FakeClock()).show(frame(3));
    expect(stream.screen()[0]).toContain('3 of 10 lines');
  });

  it('shows eight rows and counts the others', () => {
    const stream = new FakeStream(100);
    const rows = Array.from({ length: 11 }, (_, index) => row(`line ${index}`, index));
    openProgress(stream, new FakeClock()).show(frame(3, rows));
    expect(stream.screen()).toHaveLength(10);
    expect(stream.screen().at(-1)).toBe('  … and 3 more');
  });

  it('lets no name move the cursor', () => {
    const stream = new FakeStream(100);
    openProgress(stream, new FakeClock()).show(frame(3, [row('\x1b[2J\x07evil\u202e', 1)]));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stream.text.replace(/\x1b\[(\d*)[AK]/g, '')).not.toMatch(/[\x1b\x07\u202e]/);
    expect(stream.screen()[1]).toContain('·[2J·evil·');
  });

  it('puts notes above the bars', () => {
    const stream = new FakeStream(100);
    const progress = openProgress(stream, new FakeClock());
    progress.show(frame(3));
    progress.note('the server does not answer');
    expect(stream.screen()[0]).toBe('the server does not answer');
    expect(stream.screen()[1]).toContain('3 of 10');
    progress.show(frame(4));
    expect(stream.screen()).toHaveLength(2);
  });
});

describe('progress elsewhere', () => {
  const open = () => {
    const [stream, clock] = [new FakeStream(), new FakeClock()];
    return { stream, clock, progress: openProgress(stream, clock) };
  };

  it('writes plain lines without any sequence', () => {
    const { stream, progress } = open();
    progress.show(
      frame(1, [row('lease/q1', 512, { state: 'reading', bar: { done: 512, total: 2048, unit: 'tokens read' } })]),
    );
    expect(stream.text).toBe('whole running: 1 of 10 lines · lease/q1 reading: 512 of 2048 tokens read\n');
  });

  it('shows a new state at once, figures every two seconds, the line in work every ten', () => {
    const { stream, clock, progress } = open();
    progress.show(frame(0));
    clock.now += 100;
    progress.show(frame(1));
    expect(stream.lines).toHaveLength(1);
    clock.now += 2_000;
    progress.show(frame(2));
    expect(stream.lines).toHaveLength(2);
    clock.now += 3_000;
    progress.show(frame(2, [row('one', 1)]));
    expect(stream.lines).toHaveLength(2);
    clock.now += 8_000;
    progress.show(frame(2, [row('one', 2)]));
    expect(stream.lines).toHaveLength(3);
    progress.show(frame(2, [], { state: 'done' }));
    expect(stream.lines.at(-1)).toBe('whole done: 2 of 10 lines');
  });

  it('stays silent while nothing but the time changes', () => {
    const { stream, clock, progress } = open();
    for (let seconds = 0; seconds < 100; seconds += 1) {
      progress.show(frame(1, [], { detail: `${seconds} s` }));
      clock.now += 1_000;
    }
    expect(stream.lines).toHaveLength(1);
  });

  it('writes the last figures at the end, once', () => {
    const { stream, progress } = open();
    progress.show(frame(0));
    progress.show(frame(10));
    progress.end();
    progress.end();
    expect(stream.lines).toEqual(['whole running: 0 of 10 lines', 'whole running: 10 of 10 lines']);
  });
});
