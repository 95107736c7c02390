import { describe, expect, it } from 'vitest';
import type { EngineStats } from '../../../src/engine/index.ts';
import { ResumeCounts } from '../../../workers/compose/resume-counts.ts';

describe('ResumeCounts', () => {
  it('adds up what answers say of themselves, beside what the engine says', () => {
    const counts = new ResumeCounts();
    counts.countAnswer({ ext: { resumed: null, wasted_tokens: 0 } });
    counts.countAnswer({ ext: { resumed: 'exact', wasted_tokens: 12 } });
    counts.countAnswer({ ext: { resumed: 'tokens', wasted_tokens: 30 } });
    // embeddings have no such figures, errors no `ext`
    counts.countAnswer({ ext: { attempts: 2 } });
    counts.countAnswer({ error: { message: 'no' } });
    counts.countLost();
    const stats = { running: 1 } as EngineStats;
    expect(counts.addTo(stats)).toEqual({
      running: 1,
      resumes: { exact: 1, tokens: 1, wastedTokens: 42, lostCheckpoints: 1 },
    });
    expect(counts.addTo(null)).toBeNull();
  });
});
