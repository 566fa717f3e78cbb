/**
 * What a link of the emulator does to the datagrams that pass, each direction for itself. All is optional; what is absent
 * does nothing. `checkImpairments` refuses what makes no sense, whoever wrote it.
 */
import { GigatunError } from '../../errors.ts';

/** Losses in bursts: two states (Gilbert), in one of which every datagram is lost. */
export interface BurstLoss {
  /** Share of all datagrams that are lost, 0 to 0.9. */
  readonly share: number;
  /** Mean length of a burst, datagrams, at least 1. */
  readonly length: number;
}

/** A time in which nothing passes, counted from the emulator's start. */
export interface Blackout {
  readonly startMs: number;
  readonly lengthMs: number;
  /** It comes again so often, longer than `lengthMs`; null: once. */
  readonly everyMs: number | null;
}

export interface Impairments {
  /** One-way delay, ms, and up to so much more, uniformly; datagrams keep their order. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Share of datagrams that are lost, each for itself, 0 to 1. */
  readonly loss: number;
  readonly burst: BurstLoss | null;
  /** Share of datagrams that come later than those behind them, 0 to 1, and how much later, ms. */
  readonly reorder: number;
  readonly reorderMs: number;
  /** Share of datagrams that come twice, 0 to 1. */
  readonly duplicate: number;
  /** Bits of UDP payload and `overheadBytes` per second; null: no limit. */
  readonly rateBitsPerSecond: number | null;
  /** What each datagram weighs beside its payload: 28 for IPv4 and UDP, 48 for IPv6. */
  readonly overheadBytes: number;
  /** Longest wait for the rate, ms; what would wait longer is lost. */
  readonly queueMs: number;
  readonly blackouts: readonly Blackout[];
}

export const NO_IMPAIRMENTS: Impairments = {
  delayMs: 0,
  jitterMs: 0,
  loss: 0,
  burst: null,
  reorder: 0,
  reorderMs: 5,
  duplicate: 0,
  rateBitsPerSecond: null,
  overheadBytes: 28,
  queueMs: 50,
  blackouts: [],
};

const DELAY_MS_MAX = 10_000;

/** Throws GigatunError CONFIG for the first value that makes no sense; `where` is the direction's name. */
export function checkImpairments(link: Impairments, where: string): void {
  const { delayMs, jitterMs, reorderMs, queueMs, overheadBytes, burst, rateBitsPerSecond } = link;
  for (const [name, ms] of Object.entries({ delayMs, jitterMs, reorderMs, queueMs }))
    check(isWithin(ms, 0, DELAY_MS_MAX), where, `${name} of 0 to ${DELAY_MS_MAX}`, ms);
  for (const name of ['loss', 'reorder', 'duplicate'] as const)
    check(isWithin(link[name], 0, 1), where, `a share from 0 to 1 for ${name}`, link[name]);
  check(isWithin(overheadBytes, 0, 256), where, 'overheadBytes of 0 to 256', overheadBytes);
  check(
    rateBitsPerSecond === null || isWithin(rateBitsPerSecond, 1_000, 1e12),
    where,
    'a rate of at least 1 kbit',
    rateBitsPerSecond,
  );
  if (burst !== null) {
    check(isWithin(burst.share, 0, 0.9), where, 'a burst share of 0 to 0.9', burst.share);
    check(isWithin(burst.length, 1, 1e6), where, 'a burst length of at least 1 datagram', burst.length);
  }
  for (const { startMs, lengthMs, everyMs } of link.blackouts) {
    check(isWithin(startMs, 0, 1e9) && isWithin(lengthMs, 0, 1e9), where, 'blackouts that begin and end', startMs);
    check(everyMs === null || everyMs > lengthMs, where, 'blackouts shorter than the time between them', everyMs);
  }
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isFinite(value) && value >= least && value <= most;
}

function check(isGood: boolean, where: string, expected: string, got: number | null): void {
  if (!isGood) throw new GigatunError('CONFIG', `link ${where}: expected ${expected}, got ${got}`);
}
