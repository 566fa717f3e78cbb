/**
 * A socket that sends many different datagrams from many addresses, in one system call for 256, over the addon's own verbs.
 * Addresses must be local ones of the namespace: `ip route add local PREFIX dev lo` makes a whole prefix local.
 */
import { closeSync } from 'node:fs';
import * as addon from '../../native/addon.ts';
import { BOOKS, ENDPOINT, UDP_SEND } from '../../native/layout.ts';
import type { LaneHandle } from '../../native/types.ts';
import { writeEndpoint } from '../../packet/endpoint.ts';
import { sourceAddress } from './flood-kinds.ts';

export const BATCH = 256;
const BUFFER_BYTES = 7 << 20;
const ENDPOINT_BYTES = ENDPOINT.WORDS * 4;
const DESCRIPTORS_BYTES = BATCH * UDP_SEND.WORDS * 4;
const ALIGNMENT = 64;

export class FloodSocket {
  readonly #fd: number;
  readonly #handle: LaneHandle;
  readonly #words: Int32Array;
  readonly #datagrams: readonly { readonly offset: number; readonly length: number }[];
  readonly #view: DataView;
  readonly #sources: number;
  #next: number;

  /**
   * @param target 4 bytes, where all go
   * @param sources addresses to send from in turn, see `sourceAddress`; 1 leaves it to the kernel
   */
  constructor(pool: readonly Uint8Array[], target: Uint8Array, port: number, sources: number) {
    const opened = addon.openUdp({
      ...{ family: 4, port: 0, reusePort: false, joinPort: false, gro: false, fwmark: 0 },
      bufferLength: BUFFER_BYTES,
    });
    this.#fd = opened.fd;
    this.#sources = sources;
    this.#next = Math.floor(Math.random() * sources);
    const poolAt = DESCRIPTORS_BYTES + BATCH * ENDPOINT_BYTES;
    const poolBytes = pool.reduce((sum, { length }) => sum + Math.ceil((length + 1) / ALIGNMENT) * ALIGNMENT, 0);
    const arena = new Uint8Array(new SharedArrayBuffer(poolAt + poolBytes));
    this.#words = new Int32Array(arena.buffer);
    this.#view = new DataView(arena.buffer);
    const endpoint = { family: 4, address: target, port, scope: 0, localAddress: null, localInterface: 0 } as const;
    for (let send = 0; send < BATCH; send += 1) writeEndpoint(arena, endpointAt(send), endpoint);
    this.#datagrams = place(pool, arena, poolAt);
    const books = new Float64Array(BOOKS.CELLS);
    const fds = { tunFd: -1, udp4Fd: opened.fd, udp6Fd: -1 };
    this.#handle = addon.openLane({ arena, books, ...fds, aead: 'openssl', bookTime: false }).handle;
  }

  /** Sends the next `count` (1 to 256) datagrams of the pool, each from the next address; how many the kernel took. */
  send(count: number): number {
    for (let send = 0; send < count; send += 1) this.#describe(send);
    return addon.sendUdp(this.#handle, 0, count, 0);
  }

  close(): void {
    addon.closeLane(this.#handle);
    closeSync(this.#fd);
  }

  #describe(send: number): void {
    const number = this.#next;
    this.#next += 1;
    const { offset, length } = this.#datagrams[number % this.#datagrams.length] ?? { offset: 0, length: 0 };
    const at = send * UDP_SEND.WORDS;
    this.#words[at + UDP_SEND.OFFSET] = offset;
    this.#words[at + UDP_SEND.LENGTH] = length;
    this.#words[at + UDP_SEND.SEGMENT_LENGTH] = 0;
    this.#words[at + UDP_SEND.TRAFFIC_CLASS] = -1;
    const endpoint = endpointAt(send);
    this.#words[at + UDP_SEND.ENDPOINT_OFFSET] = endpoint;
    if (this.#sources === 1) return;
    this.#view.setUint32(endpoint + ENDPOINT.LOCAL_ADDRESS * 4, sourceAddress(number % this.#sources));
  }
}

function endpointAt(send: number): number {
  return DESCRIPTORS_BYTES + send * ENDPOINT_BYTES;
}

function place(pool: readonly Uint8Array[], arena: Uint8Array, at: number): { offset: number; length: number }[] {
  let offset = at;
  return pool.map((datagram) => {
    const placed = { offset, length: datagram.length };
    arena.set(datagram, offset);
    offset += Math.ceil((datagram.length + 1) / ALIGNMENT) * ALIGNMENT;
    return placed;
  });
}
