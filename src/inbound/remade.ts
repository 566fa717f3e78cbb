/**
 * Inbound, remade: datagrams that were made from parity wait here for the end of the turn, when no batch is under way any
 * more. Each is then a batch of its own: it is rare, and its fate is its own.
 */
import type { LaneContext } from '../lane-context.ts';
import { ENDPOINT, UDP_RECEIVE, UNSEAL } from '../native/layout.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import type { InboundBatch } from './batch.ts';

/** Datagrams that one turn may remake: all parities of eight full blocks. */
const REMADE_MAX = 64;

export class RemadeQueue {
  count = 0;
  readonly #keypairs: (LaneKeypair | null)[] = new Array<LaneKeypair | null>(REMADE_MAX).fill(null);
  readonly #counters: Float64Array = new Float64Array(REMADE_MAX);
  readonly #offsets: Int32Array = new Int32Array(REMADE_MAX);
  readonly #lengths: Int32Array = new Int32Array(REMADE_MAX);
  readonly #paths: Int32Array = new Int32Array(REMADE_MAX);

  add(keypair: LaneKeypair, counter: number, offset: number, length: number, path: number): boolean {
    const at = this.count;
    if (at === REMADE_MAX) return false;
    this.#keypairs[at] = keypair;
    this.#counters[at] = counter;
    this.#offsets[at] = offset;
    this.#lengths[at] = length;
    this.#paths[at] = path;
    this.count = at + 1;
    return true;
  }

  clear(): void {
    this.#keypairs.fill(null, 0, this.count);
    this.count = 0;
  }

  /** Makes the one at `at` the only message of an empty batch; false if its keypair is gone, or is to open nothing any more. */
  fill(lane: LaneContext, batch: InboundBatch, at: number): boolean {
    const keypair = this.#keypairs[at];
    if (keypair === null || lane.receivers.get(keypair.localIndex) !== keypair || isExpired(lane, keypair))
      return false;
    const { words, unseals } = lane.arena;
    const counter = this.#counters[at];
    const unseal = unseals >> 2;
    words[unseal + UNSEAL.KEY_SLOT] = keypair.receiveKeySlot;
    words[unseal + UNSEAL.NONCE_LOW] = counter | 0;
    words[unseal + UNSEAL.NONCE_HIGH] = Math.floor(counter / 4_294_967_296);
    words[unseal + UNSEAL.OFFSET] = this.#offsets[at];
    words[unseal + UNSEAL.LENGTH] = this.#lengths[at];
    batch.counters[0] = counter;
    batch.isRemade = true;
    batch.remadePath = this.#paths[at];
    batch.append(keypair, writeSource(lane, keypair));
    return true;
  }
}

function isExpired(lane: LaneContext, { bornMs }: LaneKeypair): boolean {
  return lane.nowMs() - bornMs >= lane.timing.REJECT_AFTER_TIME_MS;
}

/** A receive's record says that it came from where the peer is, in the place of one that was parsed. Returns its ENDPOINT. */
function writeSource({ arena }: LaneContext, { peer }: LaneKeypair): number {
  const receive = arena.receives >> 2;
  arena.words[receive + UDP_RECEIVE.TRAFFIC_CLASS] = -1;
  for (let word = 0; word < ENDPOINT.WORDS; word += 1)
    arena.words[receive + UDP_RECEIVE.ENDPOINT + word] = peer.endpoint[word];
  return (receive + UDP_RECEIVE.ENDPOINT) << 2;
}
