import { openSync, writeSync } from 'node:fs';
import { type Clock, systemClock } from '../base/clock.ts';
import type { EngineService } from './ports.ts';

/**
 * One line of JSON in an engine's request log. `tokens` counts all completion tokens the answer has, those of an earlier
 * engine that it went on from included.
 */
export interface RequestLogEntry {
  /** `start`: taken up · `tokens`: has more of them now · `end`: answered · `fail`: not answered. */
  readonly type: 'start' | 'tokens' | 'end' | 'fail';
  readonly id: string;
  readonly pid: number;
  /** Unix time. */
  readonly atMs: number;
  readonly tokens: number;
}

/**
 * The engine, writing down what it does as it does it: evidence from outside of work that was done twice or lost, which
 * survives a SIGKILL. Several engines may share a file.
 */
export function logRequests(engine: EngineService, path: string, clock: Clock = systemClock): EngineService {
  const file = openSync(path, 'a');
  const { pid } = process;
  const write = (type: RequestLogEntry['type'], id: string, tokens: number): void => {
    writeSync(file, `${JSON.stringify({ type, id, pid, atMs: clock.nowMs(), tokens } satisfies RequestLogEntry)}\n`);
  };
  return {
    generate: async (request, listener) => {
      const { id, resume } = request;
      let tokens = resume?.tokenIds.length ?? 0;
      write('start', id, tokens);
      try {
        const result = await engine.generate(request, {
          onProgress: (progress) => {
            if (progress.completionTokens > tokens) {
              tokens = progress.completionTokens;
              write('tokens', id, tokens);
            }
            listener.onProgress(progress);
          },
          onDelta: (delta) => listener.onDelta(delta),
          onCheckpoint: (checkpoint) => listener.onCheckpoint(checkpoint),
        });
        write('end', id, result.completionTokens);
        return result;
      } catch (error) {
        write('fail', id, tokens);
        throw error;
      }
    },
    embed: (request) => engine.embed(request),
    cancel: (id) => engine.cancel(id),
    checkpoint: (id) => engine.checkpoint(id),
    stats: () => engine.stats(),
    onRun: (listener) => engine.onRun(listener),
  };
}
