/**
 * Inbound, receive: one turn of the inbound direction, from a socket to the TUN. One native call brings datagrams,
 * several in one where GRO joined them; each is told apart by its type. Transport messages become UNSEAL descriptors of
 * a batch, which then passes the other stages; handshake messages go to the gate before the control lane.
 *
 *     receiveUdp -> parse -> [unseal -> RX history -> verify -> coalesce -> write]
 *
 * Every byte here comes from the network: lengths are checked before anything is read, and nothing is believed until
 * its tag was found good.
 */

import { orderReceived } from '../history/order-stage.ts';
import { confirmReceived, type Injector, keepSealed } from '../history/parity-receiver.ts';
import type { PeerHistory } from '../history/peer-history.ts';
import { recordReceived } from '../history/rx-history.ts';
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY, COUNTER } from '../ledger/catalog.ts';
import { UDP_RECEIVE, UNSEAL } from '../native/layout.ts';
import { LIMIT } from '../packet/arena.ts';
import { DROP } from '../packet/drop-reason.ts';
import {
  COOKIE_REPLY,
  INITIATION,
  MESSAGE_INITIATION,
  MESSAGE_TRANSPORT,
  REJECT_AFTER_MESSAGES,
  RESPONSE,
  TRANSPORT_COUNTER_OFFSET,
  TRANSPORT_HEADER_LENGTH,
  TRANSPORT_LENGTH_MIN,
  TRANSPORT_RECEIVER_OFFSET,
} from '../protocol/constants.ts';
import type { LaneKeypair } from '../tables/peers.ts';
import { InboundBatch } from './batch.ts';
import type { HandshakeGate } from './handshake-gate.ts';
import { RemadeQueue } from './remade.ts';
import { unsealBatch } from './unseal.ts';
import { Verifier } from './verify.ts';

const { UDP_RX, UDP_RX_BYTES } = COUNTER;
/** From this high word on a counter may reach REJECT_AFTER_MESSAGES, whatever its low word is. */
const COUNTER_HIGH_MAX = Math.floor(REJECT_AFTER_MESSAGES / 4_294_967_296);
/** Length of each handshake message, by its type. */
const HANDSHAKE_LENGTH = [0, INITIATION.LENGTH, RESPONSE.LENGTH, COOKIE_REPLY.LENGTH] as const;

export class InboundPath implements Injector {
  readonly #lane: LaneContext;
  readonly #batch: InboundBatch = new InboundBatch();
  readonly #verifier: Verifier;
  readonly #gate: HandshakeGate;
  readonly #remade: RemadeQueue = new RemadeQueue();
  #lastIndex = 0;
  #lastKeypair: LaneKeypair | null = null;

  constructor(lane: LaneContext, gate: HandshakeGate) {
    this.#lane = lane;
    this.#verifier = new Verifier(lane);
    this.#gate = gate;
    lane.injector = this;
  }

  /** Moves one batch from the socket of a family; returns how many receives brought something. */
  turn(family: 4 | 6): number {
    const { native, handle, arena } = this.#lane;
    const next = ACTIVITY.USER_UDP_TO_TUN;
    const { RECEIVES } = LIMIT;
    const receives = native.receiveUdp(handle, family, arena.receives, RECEIVES, arena.udpIn, arena.udpInLength, next);
    this.#lastKeypair = null;
    for (let receive = 0; receive < receives; receive += 1)
      this.#parse((arena.receives >> 2) + receive * UDP_RECEIVE.WORDS);
    this.#process();
    if (this.#remade.count > 0) this.#processRemade();
    this.#gate.flush();
    return receives;
  }

  get waiting(): number {
    return this.#remade.count;
  }

  inject(keypair: LaneKeypair, counter: number, offset: number, length: number, path: number): boolean {
    return this.#remade.add(keypair, counter, offset, length, path);
  }

  /** Does for a peer what time has come for: asks for what is missing, or gives it up and delivers what waited for it. */
  due(history: PeerHistory): void {
    const { native, handle } = this.#lane;
    native.book(handle, ACTIVITY.USER_RX_HISTORY);
    history.rx.due(this.#lane);
    native.book(handle, ACTIVITY.USER_UDP_TO_TUN);
    this.#verifier.deliverOrdered(history);
    native.book(handle, ACTIVITY.USER_CONTROL);
  }

  /** Delivers all that waits for its turn: the peer's histories, or what they are to do, go. */
  releaseOrdered(history: PeerHistory): void {
    history.rx.releaseOrder();
    this.#verifier.deliverOrdered(history);
  }

  /** Walks the datagrams of one receive, whose descriptor starts at a word. */
  #parse(receive: number): void {
    const { arena, ledger } = this.#lane;
    const { words, view } = arena;
    const { counts, drops } = ledger;
    const start = words[receive + UDP_RECEIVE.OFFSET];
    const length = words[receive + UDP_RECEIVE.LENGTH];
    const segment = words[receive + UDP_RECEIVE.SEGMENT_LENGTH];
    const stride = segment > 0 ? segment : length;
    const source = (receive + UDP_RECEIVE.ENDPOINT) << 2;
    const end = start + length;
    counts[UDP_RX_BYTES] += length;
    let offset = start;
    do {
      const datagramLength = Math.min(stride, end - offset);
      // Type byte and the three reserved bytes, which must be zero, as one word.
      const type = datagramLength < TRANSPORT_LENGTH_MIN ? 0 : view.getInt32(offset, true);
      counts[UDP_RX] += 1;
      if (type === MESSAGE_TRANSPORT) this.#addTransport(offset, datagramLength, source);
      else if (datagramLength < TRANSPORT_LENGTH_MIN) drops[DROP.IN_TOO_SHORT] += 1;
      else this.#parseOther(type, offset, datagramLength, source);
      offset += stride;
    } while (offset < end);
  }

  #parseOther(type: number, offset: number, length: number, source: number): void {
    const { drops } = this.#lane.ledger;
    if (type < MESSAGE_INITIATION || type > MESSAGE_TRANSPORT) drops[DROP.IN_BAD_TYPE] += 1;
    else if (length !== HANDSHAKE_LENGTH[type]) drops[DROP.IN_BAD_LENGTH] += 1;
    else this.#gate.take(type, offset, length, source);
  }

  #addTransport(offset: number, length: number, source: number): void {
    const { words, view, unseals } = this.#lane.arena;
    const index = view.getInt32(offset + TRANSPORT_RECEIVER_OFFSET, true);
    const low = view.getInt32(offset + TRANSPORT_COUNTER_OFFSET, true);
    const high = view.getInt32(offset + TRANSPORT_COUNTER_OFFSET + 4, true);
    const keypair = index === this.#lastIndex && this.#lastKeypair !== null ? this.#lastKeypair : this.#find(index);
    if (keypair === null) return;
    // A negative high word is a huge one.
    if (high >>> 0 >= COUNTER_HIGH_MAX) {
      this.#lane.ledger.drops[DROP.IN_COUNTER_LIMIT] += 1;
      return;
    }
    const batch = this.#batch;
    if (batch.messages === LIMIT.UNSEALS) this.#process();
    const message = batch.messages;
    const unseal = (unseals >> 2) + message * UNSEAL.WORDS;
    words[unseal + UNSEAL.KEY_SLOT] = keypair.receiveKeySlot;
    words[unseal + UNSEAL.NONCE_LOW] = low;
    words[unseal + UNSEAL.NONCE_HIGH] = high;
    words[unseal + UNSEAL.OFFSET] = offset + TRANSPORT_HEADER_LENGTH;
    words[unseal + UNSEAL.LENGTH] = length - TRANSPORT_HEADER_LENGTH;
    batch.counters[message] = high * 4_294_967_296 + (low >>> 0);
    batch.append(keypair, source);
  }

  /** The keypair that may open messages with this receiver index, remembered until the turn ends; null (a counted drop) if there is none. */
  #find(index: number): LaneKeypair | null {
    const { receivers, ledger, timing } = this.#lane;
    const keypair = receivers.get(index);
    this.#lastKeypair = null;
    if (keypair === undefined) ledger.drops[DROP.IN_UNKNOWN_INDEX] += 1;
    else if (this.#lane.nowMs() - keypair.bornMs >= timing.REJECT_AFTER_TIME_MS)
      ledger.drops[DROP.IN_KEYPAIR_EXPIRED] += 1;
    else {
      this.#lastIndex = index;
      this.#lastKeypair = keypair;
    }
    return this.#lastKeypair;
  }

  #process(): void {
    const batch = this.#batch;
    if (batch.messages > 0) {
      const hasHistories = this.#lane.histories.size > 0;
      if (hasHistories && !batch.isRemade) keepSealed(batch);
      unsealBatch(this.#lane, batch);
      recordReceived(this.#lane, batch);
      if (hasHistories) confirmReceived(batch);
      if (batch.hasOrdered) orderReceived(this.#lane, batch);
      this.#lane.native.book(this.#lane.handle, ACTIVITY.USER_UDP_TO_TUN);
      this.#verifier.deliver(batch);
    }
    batch.clear();
  }

  /** What remade ones lead to is remade in the same turn, as long as there is room. */
  #processRemade(): void {
    const remade = this.#remade;
    for (let at = 0; at < remade.count; at += 1) if (remade.fill(this.#lane, this.#batch, at)) this.#process();
    remade.clear();
  }
}
