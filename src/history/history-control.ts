/**
 * The control lane's part of histories: which peers have any, by what settings, and where their books are. Lanes are told
 * of each; they write the books, and once a second a snapshot of them is kept here, from which the figures of the last
 * seconds are made.
 */
import type { PathFigures } from '../path/path-types.ts';
import type { LaneCommand } from '../tables/lane-messages.ts';
import { historyCellsBytes } from './history-cells.ts';
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
  readonly #post: (command: LaneCommand, to: 'all') => void;
  readonly #peers: Map<number, Entry> = new Map();

  constructor(lanes: number, post: (command: LaneCommand, to: 'all') => void) {
    this.#lanes = lanes;
    this.#post = post;
  }

  /** Settings of all peers that have any, by peer. */
  *entries(): Iterable<readonly [number, HistorySettings]> {
    for (const [peer, { settings }] of this.#peers) yield [peer, settings];
  }

  /** Null for a peer that has none. */
  settingsOf(peer: number): HistorySettings | null {
    return this.#peers.get(peer)?.settings ?? null;
  }

  /** Says what a peer's histories are from now on; null for none. Its books go on while there are settings. */
  set(peer: number, settings: HistorySettings | null, nowMs: number): void {
    const before = this.#peers.get(peer);
    if (settings === null && before === undefined) return;
    const memory = before?.memory ?? new SharedArrayBuffer(historyCellsBytes(this.#lanes));
    if (settings === null) this.#peers.delete(peer);
    else {
      const intervals = before?.intervals ?? new HistoryIntervals(memory, this.#lanes, nowMs);
      this.#peers.set(peer, { settings, memory, intervals });
    }
    this.#post({ type: 'history', peer, settings, memory }, 'all');
  }

  /** The peer is gone, and lanes have forgotten it. */
  forget(peer: number): void {
    this.#peers.delete(peer);
  }

  /** Once a second: keeps what the books say now. */
  look(nowMs: number): void {
    for (const { intervals } of this.#peers.values()) intervals.look(nowMs);
  }

  /** What a peer's books say now; null for a peer without histories. */
  books(peer: number, nowMs: number): HistoryBooks | null {
    return this.#peers.get(peer)?.intervals.books(nowMs) ?? null;
  }

  /** The books of a peer, for who decides by them; null for a peer without histories. */
  memoryOf(peer: number): SharedArrayBuffer | null {
    return this.#peers.get(peer)?.memory ?? null;
  }
}
