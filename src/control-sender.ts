/** Sends the control lane's own messages, handshake messages, from its own arena over the sockets of lane 0. */
import { ACTIVITY, COUNTER } from './ledger/catalog.ts';
import type { Ledger } from './ledger/ledger.ts';
import { sendUdp } from './native/addon.ts';
import { ENDPOINT, UDP_SEND } from './native/layout.ts';
import type { LaneHandle } from './native/types.ts';
import { DROP } from './packet/drop-reason.ts';
import { type Endpoint, writeEndpoint } from './packet/endpoint.ts';
import { HANDSHAKE_TRAFFIC_CLASS } from './protocol/constants.ts';

/** Longest handshake message, with room. */
const MESSAGE_BYTES = 256;
const DESCRIPTOR_OFFSET = MESSAGE_BYTES;
const ENDPOINT_OFFSET = DESCRIPTOR_OFFSET + UDP_SEND.WORDS * 4;
/** Arena of the control lane: one handshake message, its descriptor and endpoint. */
export const CONTROL_ARENA_BYTES: number = ENDPOINT_OFFSET + ENDPOINT.WORDS * 4;

export interface ControlSenderOptions {
  /** CONTROL_ARENA_BYTES of the control lane's own handle. */
  readonly arena: Uint8Array;
  readonly handle: LaneHandle;
  readonly ledger: Ledger;
}

export class ControlSender {
  readonly #options: ControlSenderOptions;
  readonly #words: Int32Array;

  constructor(options: ControlSenderOptions) {
    this.#options = options;
    this.#words = new Int32Array(options.arena.buffer);
  }

  /**
   * Sends one message; says whether the kernel took it. A local address that is gone is left out, unless the endpoint is that
   * of a path (`isPath`). Counts what becomes of it.
   */
  send(message: Uint8Array, to: Endpoint, isPath = false): boolean {
    const { arena, ledger } = this.#options;
    arena.set(message, 0);
    const words = this.#words.subarray(DESCRIPTOR_OFFSET >> 2);
    words[UDP_SEND.OFFSET] = 0;
    words[UDP_SEND.LENGTH] = message.length;
    words[UDP_SEND.SEGMENT_LENGTH] = 0;
    words[UDP_SEND.TRAFFIC_CLASS] = HANDSHAKE_TRAFFIC_CLASS;
    words[UDP_SEND.ENDPOINT_OFFSET] = ENDPOINT_OFFSET;
    let sent = this.#sendTo(to);
    if (!sent && !isPath && to.localAddress !== null)
      sent = this.#sendTo({ ...to, localAddress: null, localInterface: 0 });
    if (!sent) ledger.drops[DROP.OUT_SEND_FAILED] += 1;
    ledger.counts[COUNTER.HANDSHAKE_TX] += sent ? 1 : 0;
    ledger.counts[COUNTER.UDP_TX] += sent ? 1 : 0;
    ledger.counts[COUNTER.UDP_TX_BYTES] += sent ? message.length : 0;
    return sent;
  }

  #sendTo(to: Endpoint): boolean {
    const { arena, handle } = this.#options;
    writeEndpoint(arena, ENDPOINT_OFFSET, to);
    return sendUdp(handle, DESCRIPTOR_OFFSET, 1, ACTIVITY.USER_CONTROL) === 1;
  }
}
