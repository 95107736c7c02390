import { describe, expect, it } from 'vitest';
import { blameOf, type EngineExit } from '../../../src/engine/engine-channel.ts';
import { type MetRequest, Suspects } from '../../../src/engine/suspects.ts';

const bySignal = (signal: string): EngineExit => ({ how: `signal ${signal}`, code: null, signal });
const byCode = (code: number): EngineExit => ({ how: `exit code ${code}`, code, signal: null });
const crash = bySignal('SIGSEGV');
const kill = bySignal('SIGKILL');

describe('blameOf', () => {
  it.each([
    [bySignal('SIGSEGV'), 'crash'],
    [bySignal('SIGABRT'), 'crash'],
    [bySignal('SIGILL'), 'crash'],
    [bySignal('SIGBUS'), 'crash'],
    [bySignal('SIGFPE'), 'crash'],
    [bySignal('SIGTRAP'), 'crash'],
    [byCode(1), 'crash'],
    [byCode(134), 'crash'],
    [bySignal('SIGKILL'), 'kill'],
    [bySignal('SIGTERM'), 'none'],
    [bySignal('SIGINT'), 'none'],
    [bySignal('SIGHUP'), 'none'],
    [byCode(0), 'none'],
    [{ how: 'spawn EAGAIN', code: null, signal: null }, 'none'],
  ] as const)('takes %j for %s', (exit, blame) => {
    expect(blameOf(exit)).toBe(blame);
  });
});

describe('Suspects', () => {
  const meet = (id: string, isInRun = true, tokens = 0): MetRequest => ({ id, inRun: isInRun, tokens });
  const inRun = (...ids: readonly string[]) => ({ alone: false, met: ids.map((id) => meet(id)) });
  const alone = (id: string, tokens = 0) => ({ alone: true, met: [meet(id, true, tokens)] });
  const together = (running: string, waiting: string) => ({
    alone: false,
    met: [meet(running), meet(waiting, false)],
  });

  it('blames nobody for an end from outside (S1)', () => {
    const suspects = new Suspects();
    for (const exit of [bySignal('SIGTERM'), byCode(0)]) suspects.processEnded(exit, inRun('a'));
    expect(suspects.mustRunAlone('a')).toBe(false);
    expect(suspects.ends('a')).toBe(0);
  });

  it('suspects who was in a run at once, who waited at the second crash (S2)', () => {
    const suspects = new Suspects();
    const seen = together('running', 'waiting');
    suspects.processEnded(crash, seen);
    expect(suspects.mustRunAlone('running')).toBe(true);
    expect(suspects.mustRunAlone('waiting')).toBe(false);
    suspects.processEnded(crash, seen);
    expect(suspects.mustRunAlone('waiting')).toBe(true);
    expect(suspects.findQuarantined('running')).toBeUndefined();
  });

  it('suspects at the second SIGKILL in a run, never one that waited (S3)', () => {
    const suspects = new Suspects();
    suspects.processEnded(kill, together('a', 'b'));
    expect(suspects.mustRunAlone('a')).toBe(false);
    suspects.processEnded(kill, together('a', 'b'));
    expect(suspects.mustRunAlone('a')).toBe(true);
    expect(suspects.mustRunAlone('b')).toBe(false);
  });

  it('starts to count again when the answer has grown between two kills (S3)', () => {
    const suspects = new Suspects();
    for (const tokens of [64, 128, 192, 256, 320, 384]) {
      suspects.processEnded(kill, { alone: false, met: [meet('grows', true, tokens), meet('stuck', true, 64)] });
      expect(suspects.mustRunAlone('grows')).toBe(false);
    }
    expect(suspects.mustRunAlone('stuck')).toBe(true);
    for (const tokens of [64, 64, 128]) suspects.processEnded(kill, alone('stuck', tokens));
    expect(suspects.findQuarantined('stuck')).toBeUndefined();
    expect(suspects.mustRunAlone('stuck')).toBe(false);
  });

  it('quarantines at one crash alone, at three kills alone, and says how often and how (S4)', () => {
    const suspects = new Suspects();
    suspects.processEnded(crash, inRun('a', 'b'));
    suspects.processEnded(byCode(134), alone('a'));
    expect(suspects.findQuarantined('a')).toMatchObject({
      code: 'bug.engine-crash',
      message: 'the engine process ended 2 times with request a in it, last while it ran alone: exit code 134',
      details: { requestId: 'a', ends: 2, how: 'exit code 134' },
    });
    for (let kills = 0; kills < 2; kills++) suspects.processEnded(kill, alone('b'));
    expect(suspects.findQuarantined('b')).toBeUndefined();
    suspects.processEnded(kill, alone('b'));
    expect(suspects.findQuarantined('b')?.message).toContain('ended 4 times with request b');
  });

  it('quarantines one that ends a process before any run, when it was alone in it (S2, S4)', () => {
    const suspects = new Suspects();
    const arriving = (isAlone: boolean) => ({ alone: isAlone, met: [meet('a', false)] });
    suspects.processEnded(crash, arriving(false));
    suspects.processEnded(crash, arriving(false));
    expect(suspects.findQuarantined('a')).toBeUndefined();
    suspects.processEnded(crash, arriving(true));
    expect(suspects.findQuarantined('a')?.code).toBe('bug.engine-crash');
  });

  it('forgets who is cleared (S5)', () => {
    const suspects = new Suspects();
    suspects.processEnded(crash, inRun('a'));
    suspects.clear('a');
    expect(suspects.mustRunAlone('a')).toBe(false);
    suspects.processEnded(crash, inRun('a'));
    expect(suspects.ends('a')).toBe(1);
  });

  it('forgets the oldest of too many (S6)', () => {
    const suspects = new Suspects();
    const names = Array.from({ length: 4_097 }, (_, index) => `r${index}`);
    suspects.processEnded(crash, inRun(...names));
    expect(suspects.mustRunAlone('r0')).toBe(false);
    expect(suspects.mustRunAlone('r1')).toBe(true);
    for (const name of names.slice(1, 1_026)) suspects.processEnded(crash, alone(name));
    expect(suspects.findQuarantined('r1')).toBeUndefined();
    expect(suspects.findQuarantined('r2')).toBeDefined();
  });
});
