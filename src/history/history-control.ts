/**
 * The control lane's part of histories: which peers have any, by what settings, and where their books are; those included
 * that have no settings and bring paths of their own. Lanes write the books, and once a second a snapshot of them is kept here,
 * from which the figures of the last seconds are made.
 */
import type { PathFigures } from '../path/path-types.ts';
import { type HistoryBooks, HistoryIntervals } from './history-snapshot.ts';
import type { HistorySettings } from './settings.ts';

/** What is kept of a peer's histories. */
interface Entry {
  readonly settings: HistorySettings;
  readonly memory: SharedArrayBuffer;
  readonly intervals: HistoryIntervals;
}

export class HistoryControl {
  /** What is known of a peer's paths, by slot; null: nothing but what its settings say. */
  pathFigures: (peer: number) => readonly PathFigures[] | null = () => null;
  readonly #lanes: number;
  readonly #peers: Map<number, Entry> = new Map();

  constructor(lanes: number) {
    this.#lanes = lanes;
  }

  /** Settings of all peers that have any, by peer. */
  *entries(): Iterable<readonly [number, HistorySettings]> {
    for (const [peer, { settings }] of this.#peers) yield [peer, settings];
  }

  /** Null for a peer that has none. */
  settingsOf(peer: number): HistorySettings | null {
    return this.#peers.get(peer)?.settings ?? null;
  }

  /**
   * Says what a peer's histories are from now on, and where lanes book them; null for none. Its figures go on while there are
   * settings.
   */
  set(peer: number, settings: HistorySettings | null, memory: SharedArrayBuffer | null, nowMs: number): void {
    if (settings === null || memory === null) {
      this.#peers.delete(peer);
      return;
    }
    const before = this.#peers.get(peer);
    const isSame = before?.memory === memory;
    const intervals = isSame ? before.intervals : new HistoryIntervals(memory, this.#lanes, nowMs);
    this.#peers.set(peer, { settings, memory, intervals });
  }

  /** The peer is gone, and lanes have forgotten it. */
  forget(peer: number): void {
    this.#peers.delete(peer);
  }

  /** A slot of the peer's paths has another path from now on. */
  beginPath(peer: number, path: number, nowMs: number): void {
    this.#peers.get(peer)?.intervals.beginPath(path, nowMs);
  }

  /** Once a second: keeps what the books say now. */
  look(nowMs: number): void {
    for (const { intervals } of this.#peers.values()) intervals.look(nowMs);
  }

  /** What a peer's books say now; null for a peer without histories. */
  books(peer: number, nowMs: number): HistoryBooks | null {
    return this.#peers.get(peer)?.intervals.books(nowMs) ?? null;
  }
}
