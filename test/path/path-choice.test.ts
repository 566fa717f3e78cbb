/** What paths are used for, by mode, by what each is like, and by how many copies are wanted. */
import { describe, expect, it } from 'vitest';
import { type Candidate, choosePaths } from '../../src/path/path-choice.ts';
import { NO_PATH, type PathMode } from '../../src/path/path-types.ts';

function candidate(path: number, more: Partial<Candidate> = {}): Candidate {
  return { path, state: 'alive', isUsable: true, isBackup: false, rttMs: 10 + path, isSettled: true, ...more };
}

/** Words like '0 first'. */
function chosen(mode: PathMode, candidates: readonly Candidate[], first: number, copies: number): string[] {
  return [...choosePaths(mode, candidates, first, copies)].map(([path, use]) => `${path} ${use}`);
}

const THREE = [candidate(0), candidate(1), candidate(2)];

describe('copies', () => {
  it('take other paths than the first, as many as are wanted', () => {
    for (const mode of ['failover', 'lowest-latency'] as const) {
      expect(chosen(mode, THREE, 0, 0)).toEqual(['0 first']);
      expect(chosen(mode, THREE, 0, 1)).toEqual(['0 first', '1 copy']);
      expect(chosen(mode, THREE, 0, 3)).toEqual(['0 first', '1 copy', '2 copy']);
    }
    const quickLast = [candidate(0, { rttMs: 50 }), candidate(1, { rttMs: 30 }), candidate(2)];
    expect(chosen('lowest-latency', quickLast, NO_PATH, 1)).toEqual(['2 first', '0 copy']);
  });

  it('take no dead path, no unusable one, and no backup while another lives', () => {
    const candidates = [
      ...[candidate(0), candidate(1, { state: 'dead' }), candidate(2, { isUsable: false })],
      ...[candidate(3, { isBackup: true }), candidate(4)],
    ];
    expect(chosen('failover', candidates, 0, 3)).toEqual(['0 first', '4 copy']);
    expect(chosen('failover', candidates.slice(0, 4), 0, 3)).toEqual(['0 first']);
  });

  it('take a path of which nothing is known only after those that live: a stock peer tells of none', () => {
    const candidates = [candidate(0), candidate(1, { state: 'unknown' }), candidate(2)];
    expect(chosen('failover', candidates, 0, 1)).toEqual(['0 first', '2 copy']);
    expect(chosen('failover', candidates, 0, 2)).toEqual(['0 first', '2 copy', '1 copy']);
  });

  it('change nothing in redundant mode, which takes all paths, and in weighted mode, which takes all for first sendings', () => {
    for (const copies of [0, 1, 3]) {
      expect(chosen('redundant', THREE, 1, copies).sort()).toEqual(['0 first', '1 copy', '2 copy']);
      expect(chosen('weighted', THREE, 1, copies)).toEqual(['0 first', '1 first', '2 first']);
    }
  });
});
