/**
 * Which of a peer's paths a datagram group takes, by what the control lane said of them last: one path for all, or, weighted,
 * the one on which the group arrives first, about. For that each path has a queue that is imagined (`imagined-queue.ts`), and a
 * group arrives when those before it have left, and its own bytes, and its delay is over.
 */
import { type LanePaths, NO_PATH, PATHS_MAX } from '../path/path-types.ts';
import { ImaginedQueue } from './imagined-queue.ts';

/** Most datagrams in a group where each group is to find its own path: about a millisecond of 100 Mbit/s. */
export const WEIGHTED_GROUP_DATAGRAMS = 8;

/**
 * A path further away is taken before the queue of a nearer one has made up for all of that: so much of the difference, ms and
 * share, is left to those who put it in order. With all of it, the queue of the nearer one is longer by as much, and overflows
 * while the other is half empty.
 */
export const EARLY_MS = 10;
const EARLY_SHARE = 0.5;

export class PathChoice {
  /** The path of first sendings, NO_PATH for the peer's endpoint. In mode `follow` whoever hears from the peer sets it. */
  first: number = NO_PATH;
  isWeighted = false;
  /** Paths that copies go over, the first `copiesCount` of these. */
  readonly copies: Int32Array = new Int32Array(PATHS_MAX);
  copiesCount = 0;
  /** The path that the control lane would send over, whatever mode `follow` found. */
  usableFirst: number = NO_PATH;
  /** Paths that may carry data, the first `usableCount` of these. */
  readonly #usable: Int32Array = new Int32Array(PATHS_MAX);
  #usableCount = 0;
  /** Of `usable`, those of first sendings come first. */
  #firstCount = 0;
  readonly #delayMs: Float64Array = new Float64Array(PATHS_MAX);
  readonly #queues: readonly ImaginedQueue[] = Array.from({ length: PATHS_MAX }, () => new ImaginedQueue());

  setPaths({ mode, paths }: LanePaths, nowMs: number): void {
    const isHeld = mode === 'follow' && paths.some(({ path }) => path === this.first);
    const firsts = paths.filter(({ use }) => use === 'first');
    const copies = paths.filter(({ use }) => use === 'copy').map(({ path }) => path);
    this.usableFirst = firsts[0]?.path ?? NO_PATH;
    if (!isHeld) this.first = this.usableFirst;
    this.isWeighted = mode === 'weighted' && firsts.length > 1;
    this.copiesCount = copies.length;
    this.copies.set(copies);
    this.#firstCount = firsts.length;
    this.#usableCount = firsts.length + copies.length;
    this.#usable.set([...firsts.map(({ path }) => path), ...copies]);
    const nearestMs = Math.min(...firsts.map(({ delayMs }) => delayMs));
    for (const { path, rateBytesPerMs, delayMs, queueMs, queueAtMs } of paths) {
      this.#queues[path].tell(rateBytesPerMs, queueMs, queueAtMs, nowMs);
      this.#delayMs[path] = delayMs - Math.min(EARLY_MS, EARLY_SHARE * Math.max(0, delayMs - nearestMs));
    }
  }

  /** How long a packet that is sent now waits before its path, at least, ms: what all paths have in common. */
  backlogMs(nowMs: number): number {
    if (!this.isWeighted) return 0;
    let leastMs = Number.POSITIVE_INFINITY;
    for (let at = 0; at < this.#firstCount; at += 1)
      leastMs = Math.min(leastMs, this.#queues[this.#usable[at]].lengthMs(nowMs));
    return leastMs;
  }

  /** Whether data may go over the path. */
  mayUse(path: number): boolean {
    return path === NO_PATH || this.#usable.subarray(0, this.#usableCount).includes(path);
  }

  /** The path that a group of so many bytes is sent over for the first time. */
  take(bytes: number, nowMs: number): number {
    if (!this.isWeighted) return this.first;
    for (let at = 0; at < this.#firstCount; at += 1) this.#queues[this.#usable[at]].remember(nowMs);
    return this.#soonest(this.#firstCount, NO_PATH, bytes, nowMs);
  }

  /** The path for what was sent over `path` and did not arrive: the soonest other one that may carry data, if there is one. */
  takeOther(path: number, bytes: number, nowMs: number): number {
    const other = this.#soonest(this.#usableCount, path, bytes, nowMs);
    return other === NO_PATH ? this.first : other;
  }

  /** Of the first `count` usable paths but `except`, the one on which the bytes arrive first; they are put on its queue. */
  #soonest(count: number, except: number, bytes: number, nowMs: number): number {
    let best = NO_PATH;
    let bestMs = Number.POSITIVE_INFINITY;
    for (let at = 0; at < count; at += 1) {
      const path = this.#usable[at];
      if (path === except) continue;
      const arrivalMs = this.#queues[path].leftMs(bytes, nowMs) + this.#delayMs[path];
      if (arrivalMs >= bestMs) continue;
      best = path;
      bestMs = arrivalMs;
    }
    if (best !== NO_PATH) this.#queues[best].add(bytes, nowMs);
    return best;
  }
}
