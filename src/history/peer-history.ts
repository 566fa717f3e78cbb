/**
 * A lane's histories of one peer: only peers of which configuration (or the peer itself) asks for more than WireGuard does
 * have them, so that all others cost one comparison with null per run. Each part is a file of its own; what is off is null.
 */
import { ENDPOINT } from '../native/layout.ts';
import { writeEndpoint } from '../packet/endpoint.ts';
import { type LanePaths, NO_PATH, PATHS_MAX } from '../path/path-types.ts';
import type { LanePeer } from '../tables/peers.ts';
import { historyCellsBytes, laneBlock, pathCells } from './history-cells.ts';
import { RxState } from './rx-state.ts';
import { type HistorySettings, NO_HISTORY } from './settings.ts';

export class PeerHistory {
  readonly peer: LanePeer;
  settings: HistorySettings = NO_HISTORY;
  /** This lane's block of the peer's books. */
  readonly cells: Float64Array;
  paths: LanePaths = NO_PATHS;
  /** ENDPOINT records of the paths, by slot; family 0 where there is none. */
  readonly endpoints: Int32Array = new Int32Array(PATHS_MAX * ENDPOINT.WORDS);
  /** CLOCK_MONOTONIC ms at which something is to be done about what came; Infinity for nothing. */
  receiveDueMs: number = Number.POSITIVE_INFINITY;
  /** Whether this lane sees all of the peer's counters. */
  readonly isAlone: boolean;
  /** What is missing of what the peer sent. */
  readonly rx: RxState = new RxState(this);

  /** `memory`: historyCellsBytes for all lanes. */
  constructor(peer: LanePeer, memory: SharedArrayBuffer, lane: number) {
    this.peer = peer;
    this.cells = laneBlock(memory, lane);
    this.isAlone = memory.byteLength < historyCellsBytes(2);
  }

  /** Has the lane look at this peer again at `ms` (CLOCK_MONOTONIC) at the latest. */
  wantReceiveDue(ms: number): void {
    if (ms < this.receiveDueMs) this.receiveDueMs = ms;
  }

  /** Takes over what the control lane says of the paths. */
  setPaths(paths: LanePaths): void {
    this.paths = paths;
    this.endpoints.fill(0);
    for (const { path, endpoint, isBound } of paths.paths) {
      const at = path * ENDPOINT.WORDS;
      writeEndpoint(new Uint8Array(this.endpoints.buffer), at * 4, endpoint);
      // A negative interface is one that is used whatever the route says.
      if (isBound) this.endpoints[at + ENDPOINT.LOCAL_INTERFACE] = -endpoint.localInterface;
    }
  }

  /** The path whose datagrams come from this ENDPOINT record, by remote address and port and local address; NO_PATH if none. */
  pathOf(words: Int32Array, source: number): number {
    for (const { path } of this.paths.paths) if (this.#isFrom(path * ENDPOINT.WORDS, words, source)) return path;
    return NO_PATH;
  }

  /** First cell of a path in `cells`. */
  cellsOf(path: number): number {
    return pathCells(path);
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
