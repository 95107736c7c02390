import { describe, expect, it } from 'vitest';
import { checkChildGraph, planStopsBefore } from '../../../src/local/child-spec.ts';
import { scriptedChild } from '../../support/scripted-children.ts';

const child = (name: string, options: Parameters<typeof scriptedChild>[2] = {}) => scriptedChild(name, '', options);

describe('child graph', () => {
  it('stops what depends on a child, and what it names, before the child', () => {
    const specs = [
      child('store'),
      child('consumer', { dependsOn: ['store'] }),
      child('api', { dependsOn: ['store'], stopAfter: ['consumer'] }),
    ];
    checkChildGraph(specs);
    expect(planStopsBefore(specs, 'store')).toEqual(['consumer', 'api']);
    expect(planStopsBefore(specs, 'api')).toEqual(['consumer']);
    expect(planStopsBefore(specs, 'consumer')).toEqual([]);
  });

  it('rejects a circle, also one that only stopping closes', () => {
    const circle = [child('a', { dependsOn: ['b'] }), child('b', { dependsOn: ['a'] })];
    expect(() => checkChildGraph(circle)).toThrow(/circle/);
    const stopCircle = [child('a', { dependsOn: ['b'], stopAfter: ['b'] }), child('b')];
    expect(() => checkChildGraph(stopCircle)).toThrow(/circle/);
  });

  it('rejects unknown and double names', () => {
    expect(() => checkChildGraph([child('a', { dependsOn: ['ghost'] })])).toThrow(/a names an unknown child ghost/);
    expect(() => checkChildGraph([child('a'), child('a')])).toThrow(/different names/);
  });
});
