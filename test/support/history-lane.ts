/**
 * A fake lane whose peer 0 has histories: settings and paths in short, messages that are just unsealed without datagrams, and
 * what the lane sent of its own.
 */
import { HISTORY_CELL, PATH_CELL, pathCells } from '../../src/history/history-cells.ts';
import type { MessageSender } from '../../src/history/message-sender.ts';
import { allocateHistoryCells, PeerHistory } from '../../src/history/peer-history.ts';
import { recordReceived } from '../../src/history/rx-history.ts';
import { type HistorySettings, NO_HISTORY } from '../../src/history/settings.ts';
import { InboundBatch } from '../../src/inbound/batch.ts';
import { ENDPOINT, UNSEAL } from '../../src/native/layout.ts';
import { type Endpoint, writeEndpoint } from '../../src/packet/endpoint.ts';
import type { LanePath, LanePaths } from '../../src/path/path-types.ts';
import { gapCount, gapFirst, gapsIndex, gapsRanges } from '../../src/protocol/gaps-message.ts';
import type { LaneKeypair } from '../../src/tables/peers.ts';
import { endpointOf, FakeLane } from './fake-lane.ts';

/** A report that was sent. */
export interface SentReport {
  readonly atMs: number;
  readonly index: number;
  readonly counters: readonly number[];
}

export interface HistoryOptions {
  readonly settings?: Partial<HistorySettings>;
  readonly paths?: Partial<LanePaths>;
  readonly lanes?: number;
}

export function lanePath(path: number, endpoint: Endpoint): LanePath {
  return { path, endpoint, isBound: false, use: 'first', rateBytesPerMs: 0, delayMs: 0, queueMs: 0 };
}

const PATHS: LanePaths = {
  mode: 'follow',
  paths: [],
  rttMs: 20,
  knows: { gaps: true, paths: true, parity: false },
  loss: 0,
};

export class HistoryLane extends FakeLane implements MessageSender {
  readonly history: PeerHistory;
  readonly reports: SentReport[] = [];

  constructor({ settings, paths, lanes = 1 }: HistoryOptions = {}) {
    super({ historiesBytes: 1 << 24 });
    const peer = this.addPeer(0);
    this.history = new PeerHistory(peer, allocateHistoryCells(lanes), 0);
    peer.history = this.history;
    this.context.histories.add(this.history);
    this.context.sender = this;
    this.set(settings);
    this.history.setPaths({ ...PATHS, ...paths });
  }

  set(settings: Partial<HistorySettings> = {}): void {
    this.history.setSettings({ ...NO_HISTORY, retransmitMs: 150, ...settings }, this.context.historyPool);
  }

  sendMessage(_peer: unknown, offset: number, length: number): boolean {
    const { view } = this.arena;
    const ranges = gapsRanges(view, offset, length);
    const counters = Array.from({ length: ranges }, (_, range) =>
      Array.from({ length: gapCount(view, offset, range) }, (_each, at) => gapFirst(view, offset, range) + at),
    ).flat();
    this.reports.push({ atMs: this.addon.nowMs, index: gapsIndex(view, offset), counters });
    return true;
  }

  /** Reports that came are the outbound path's. */
  takeGaps(): void {}

  /** Records one batch of authentic messages; says which were fresh. */
  record(keypair: LaneKeypair, counters: readonly number[], source: Endpoint = endpointOf(0)): boolean[] {
    this.addon.book(this.context.handle, 0);
    const batch = new InboundBatch();
    const at = this.arena.receives;
    writeEndpoint(this.arena.bytes.subarray(at, at + ENDPOINT.WORDS * 4), 0, source);
    for (const [index, counter] of counters.entries()) {
      batch.counters[index] = counter;
      batch.append(keypair, at);
      this.arena.words[(this.arena.unseals >> 2) + index * UNSEAL.WORDS + UNSEAL.RESULT] = 68;
    }
    recordReceived(this.context, batch);
    return counters.map((_, index) => batch.fresh[index] === 1);
  }

  /** Lets time pass, and has done what is due as the lane's loop does; `due`: by whom. */
  pass(ms: number, due: () => void = () => this.history.rx.due(this.context)): void {
    const untilMs = this.addon.nowMs + ms;
    for (;;) {
      const nextMs = Math.max(this.addon.nowMs, this.history.receiveDueMs);
      this.addon.nowMs = Math.min(untilMs, nextMs);
      this.addon.book(this.context.handle, 0);
      if (nextMs > untilMs) return;
      due();
      // A clock in whole ns may read less than what was due by a bit; no real one stands still.
      this.addon.nowMs += 0.001;
    }
  }

  cell(name: Exclude<keyof typeof HISTORY_CELL, 'CELLS'>): number {
    return this.history.cells[HISTORY_CELL[name]];
  }

  /** Those of the peer's totals that are not 0. */
  cells(): Record<string, number> {
    const names = Object.keys(HISTORY_CELL).filter((name) => name !== 'CELLS' && name !== 'RING_BYTES') as Exclude<
      keyof typeof HISTORY_CELL,
      'CELLS'
    >[];
    return Object.fromEntries(names.map((name) => [name, this.cell(name)] as const).filter(([, value]) => value !== 0));
  }

  pathCell(path: number, name: Exclude<keyof typeof PATH_CELL, 'CELLS'>): number {
    return this.history.cells[pathCells(path) + PATH_CELL[name]];
  }
}
