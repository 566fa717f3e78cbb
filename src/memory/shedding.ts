/**
 * What is given up when resident memory comes near its cap, as pure functions: a level from what is resident, and what to
 * shed at each level. In this order:
 *
 * 1. near the cap (90 % of it): garbage of all heaps is collected, and handshake messages queue for the control lane only
 *    to a quarter of the usual number;
 * 2. at the cap and beyond: garbage again, at most once a minute, and the queue is halved. Half of its places stay for
 *    messages that the handshake gate lets in; those that only get a cookie have the other half.
 *
 * Packets are not shed: they lie in arenas of fixed size, so that dropping them would free nothing. Nor is the tunnel.
 */
import { NEAR_SHARE } from './budget.ts';

export type MemoryLevel = 'easy' | 'near' | 'over';

/** Handshake messages that may wait for the control lane, of all lanes; more are dropped (paper 5.3, kernel: 4,096). */
const HANDSHAKES_MAX: Readonly<Record<MemoryLevel, number>> = { easy: 4_096, near: 1_024, over: 512 };
/** A level is left when this share of the cap lies between it and what is resident. */
const LEAVE_SHARE = 0.05;
/** Collecting stops a lane for some milliseconds: not more often than this while memory stays at or beyond its cap. */
const COLLECT_INTERVAL_MS = 60_000;

export function handshakesMaxAt(level: MemoryLevel): number {
  return HANDSHAKES_MAX[level];
}

/** The level of so many resident bytes, coming from level `before`. */
export function memoryLevel(before: MemoryLevel, residentBytes: number, capBytes: number): MemoryLevel {
  const isAbove = (share: number, held: boolean): boolean =>
    residentBytes >= capBytes * (held ? share - LEAVE_SHARE : share);
  if (isAbove(1, before === 'over')) return 'over';
  return isAbove(NEAR_SHARE, before !== 'easy') ? 'near' : 'easy';
}

/** Whether garbage is to be collected now: when a level is entered from below, and again while memory stays at its cap. */
export function shallCollect(before: MemoryLevel, level: MemoryLevel, sinceCollectedMs: number): boolean {
  if (level === 'easy' || (level === 'near' && before !== 'easy')) return false;
  return before !== level || sinceCollectedMs >= COLLECT_INTERVAL_MS;
}
