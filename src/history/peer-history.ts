/**
 * A lane's histories of one peer: only peers of which configuration (or the peer itself) asks for more than WireGuard does
 * have them, so that all others cost one comparison with null per run. Each part is a file of its own; what is off is null.
 */
import { ENDPOINT } from '../native/layout.ts';
import { writeEndpoint } from '../packet/endpoint.ts';
import type { RegionPool } from '../packet/region-pool.ts';
import { type LanePaths, NO_PATH, PATHS_MAX } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import { BacklogControl } from './backlog-control.ts';
import { Copies } from './copies.ts';
import { DelayedCopies } from './delayed-copies.ts';
import { DueClock } from './due-clock.ts';
import { HISTORY_CELL, historyCellsBytes, laneBlock, pathCells } from './history-cells.ts';
import type { ParityReceiver } from './parity-receiver.ts';
import { PathChoice } from './path-choice.ts';
import { Repeats } from './repeats.ts';
import { RxState } from './rx-state.ts';
import { SentRing } from './sent-ring.ts';
import { type HistorySettings, isPlain, keepsSent, NO_HISTORY, RING_BYTES_MAX, RING_BYTES_MIN } from './settings.ts';
import { Tails } from './tails.ts';

/** Where parity is made: it is told of each datagram that was sealed into the ring, in order, and of the end of a batch. */
export interface SealedWatch {
  /** CLOCK_MONOTONIC ms at which `onDue` wants to be called; Infinity for never. */
  readonly dueMs: number;
  /** A data message; `offset` and `length` are those of the datagram, header included, in the arena. */
  onSealed(history: PeerHistory, counter: number, offset: number, length: number, atMs: number): void;
  /** The batch is sent: now messages may be. */
  onSent(history: PeerHistory): void;
  /** It is time: messages may be sent. */
  onDue(history: PeerHistory, nowMs: number): void;
}

export class PeerHistory {
  readonly peer: LanePeer;
  settings: HistorySettings = NO_HISTORY;
  /** This lane's block of the peer's books. */
  readonly cells: Float64Array;
  paths: LanePaths = NO_PATHS;
  /** A path that carried data and is used no more: what was sent over it last may be lost. NO_PATH once that is dealt with. */
  leftPath: number = NO_PATH;
  /** ENDPOINT records of the paths, by slot; family 0 where there is none. */
  readonly endpoints: Int32Array = new Int32Array(PATHS_MAX * ENDPOINT.WORDS);
  /** Whether this lane sees all of the peer's counters. */
  readonly isAlone: boolean;
  /** What is missing of what the peer sent. */
  readonly rx: RxState = new RxState(this);
  /** The lane's, which is told of all that is due. */
  clock: DueClock = new DueClock();
  /** CLOCK_MONOTONIC ms at which something is to be done about what came; Infinity for nothing. */
  receiveDueMs: number = Number.POSITIVE_INFINITY;
  readonly choice: PathChoice = new PathChoice();
  readonly backlog: BacklogControl = new BacklogControl();
  readonly copies: Copies = new Copies();
  readonly repeats: Repeats;
  /** Bytes that were asked for, while there may be less. */
  #ringWanted = 0;
  readonly tails: Tails = new Tails();
  /** Copies that wait; null where none ever do. */
  delayed: DelayedCopies | null = null;
  /** What was sent to the peer; null where nothing is kept. */
  ring: SentRing | null = null;
  /** Null unless forward error correction is on. */
  sealedWatch: SealedWatch | null = null;
  parityReceiver: ParityReceiver | null = null;

  /** `memory`: historyCellsBytes for all lanes. */
  constructor(peer: LanePeer, memory: SharedArrayBuffer, lane: number) {
    this.peer = peer;
    this.cells = laneBlock(memory, lane);
    this.repeats = new Repeats(this.cells);
    this.isAlone = memory.byteLength < historyCellsBytes(2);
  }

  /** CLOCK_MONOTONIC ms at which something is due to be sent; Infinity for nothing. */
  get sendDueMs(): number {
    const delayedMs = this.delayed?.dueMs ?? Number.POSITIVE_INFINITY;
    const parityMs = this.sealedWatch?.dueMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.tails.dueMs, delayedMs, parityMs);
  }

  /** Has the lane look at this peer again at `ms` (CLOCK_MONOTONIC) at the latest. */
  wantReceiveDue(ms: number): void {
    if (ms < this.receiveDueMs) this.receiveDueMs = ms;
    this.clock.expect(ms);
  }

  /** CLOCK_MONOTONIC ms at which something is due for this peer; Infinity for nothing. */
  get dueMs(): number {
    return Math.min(this.sendDueMs, this.receiveDueMs);
  }

  /** Whether each counter that is missing is watched. A peer that merely brought paths of its own is not worth the memory. */
  get watchesGaps(): boolean {
    return this.isAlone && !isPlain(this.settings);
  }

  /** Whether the peer is told of the end of what was sent. */
  get sendsTails(): boolean {
    return this.settings.retransmitMs > 0 && this.paths.knows.gaps;
  }

  /** Whether datagrams have somewhere to go although the peer has no endpoint. */
  get hasPath(): boolean {
    const { first } = this.choice;
    return first !== NO_PATH && this.endpoints[first * ENDPOINT.WORDS] !== 0;
  }

  /** Takes over what configuration says; a ring that is wanted anew comes from the pool, as large as there is room. */
  setSettings(settings: HistorySettings, pool: RegionPool): void {
    this.settings = settings;
    this.copies.setSettings(settings.copies);
    this.repeats.setSettings(settings);
    if (!this.sendsTails) this.tails.stop();
    const bytes = keepsSent(settings) ? clampedRing(settings.ringBytes) : 0;
    const { count, delayMs } = settings.copies;
    const isDelayed = count > 1 && delayMs > 0;
    if (!isDelayed) this.delayed = null;
    // What becomes less makes room for what becomes more.
    if (bytes < this.#ringWanted) this.#changeRing(bytes, pool);
    this.rx.setSettings(settings, pool);
    if (bytes > this.#ringWanted) this.#changeRing(bytes, pool);
    if (isDelayed && this.ring !== null) this.delayed ??= new DelayedCopies();
  }

  /** Gives memory back; the object is of no use any more. */
  close(pool: RegionPool): void {
    this.#changeRing(0, pool);
    this.rx.close(pool);
  }

  /** Takes over what the control lane says of the paths. */
  setPaths(paths: LanePaths, nowMs = 0): void {
    this.paths = paths;
    this.endpoints.fill(0);
    for (const { path, endpoint, isBound } of paths.paths) {
      const at = path * ENDPOINT.WORDS;
      writeEndpoint(new Uint8Array(this.endpoints.buffer), at * 4, endpoint);
      // A negative interface is one that is used whatever the route says.
      if (isBound) this.endpoints[at + ENDPOINT.LOCAL_INTERFACE] = -endpoint.localInterface;
    }
    const before = this.choice.first;
    this.choice.setPaths(paths, nowMs);
    if (before !== this.choice.first && !this.choice.mayUse(before)) this.leftPath = before;
    this.copies.setPaths(paths, this.choice);
    this.repeats.setRtt(paths.rttMs);
    if (!this.sendsTails) this.tails.stop();
  }

  /** The path whose datagrams come from this ENDPOINT record, by remote address and port and local address; NO_PATH if none. */
  pathOf(words: Int32Array, source: number): number {
    if (this.paths.paths.length === 0) return NO_PATH;
    for (const { path } of this.paths.paths) if (this.#isFrom(path * ENDPOINT.WORDS, words, source)) return path;
    return NO_PATH;
  }

  /** First cell of a path in `cells`. */
  cellsOf(path: number): number {
    return pathCells(path);
  }

  #changeRing(bytes: number, pool: RegionPool): void {
    if (this.ring !== null) pool.release(this.ring.offset);
    this.ring = null;
    // What waits lies in the ring that is gone.
    this.delayed = null;
    this.#ringWanted = bytes;
    for (let size = bytes; size >= RING_BYTES_MIN && this.ring === null; size = Math.floor(size / 2)) {
      const offset = pool.take(size);
      if (offset !== -1) this.ring = new SentRing(offset, size);
    }
    this.cells[HISTORY_CELL.RING_BYTES] = this.ring?.bytes ?? 0;
  }

  #isFrom(at: number, words: Int32Array, source: number): boolean {
    const { endpoints } = this;
    for (let word = 0; word < ENDPOINT.LOCAL_ADDRESS; word += 1)
      if (endpoints[at + word] !== words[source + word]) return false;
    let local = 0;
    let differing = 0;
    for (let word = ENDPOINT.LOCAL_ADDRESS; word < ENDPOINT.LOCAL_INTERFACE; word += 1) {
      local |= endpoints[at + word];
      differing |= endpoints[at + word] ^ words[source + word];
    }
    // A path without a local address is any that leads there.
    return local === 0 || differing === 0;
  }
}

/** A batch must never come round to its own start. */
function clampedRing(bytes: number): number {
  return Math.min(RING_BYTES_MAX, Math.max(RING_BYTES_MIN, Math.floor(bytes)));
}

const NO_PATHS: LanePaths = {
  mode: 'follow',
  paths: [],
  rttMs: 0,
  knows: { gaps: false, paths: false, parity: false },
  loss: 0,
};

/** Memory of a peer's histories that is alone, as tests have it. */
export function allocateHistoryCells(lanes = 1): SharedArrayBuffer {
  return new SharedArrayBuffer(historyCellsBytes(lanes));
}
