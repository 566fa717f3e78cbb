/**
 * A socket that sends many different datagrams from many addresses, in one system call for 256, over the addon's own verbs.
 * Addresses must be local ones of the namespace: `ip route add local PREFIX dev lo` makes a whole prefix local.
 */
import { closeSync } from 'node:fs';
import * as addon from '../../native/addon.ts';
import { BOOKS, ENDPOINT, UDP_SEND } from '../../native/layout.ts';
import type { LaneHandle } from '../../native/types.ts';
import { writeEndpoint } from '../../packet/endpoint.ts';

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
  readonly #sources: number;
  readonly #endpointsAt: number;
  #next = 0;

  /**
   * @param target 4 bytes, where all go
   * @param sources IPv4 addresses to send from in turn, 4 bytes each; an empty list leaves it to the kernel
   */
  constructor(pool: readonly Uint8Array[], target: Uint8Array, port: number, sources: readonly Uint8Array[]) {
    const opened = addon.openUdp({
      ...{ family: 4, port: 0, reusePort: false, joinPort: false, gro: false, fwmark: 0 },
      bufferLength: BUFFER_BYTES,
    });
    this.#fd = opened.fd;
    this.#endpointsAt = DESCRIPTORS_BYTES;
    this.#sources = Math.max(1, sources.length);
    const poolAt = this.#endpointsAt + this.#sources * ENDPOINT_BYTES;
    const poolBytes = pool.reduce((sum, { length }) => sum + Math.ceil((length + 1) / ALIGNMENT) * ALIGNMENT, 0);
    const arena = new Uint8Array(new SharedArrayBuffer(poolAt + poolBytes));
    this.#words = new Int32Array(arena.buffer);
    const locals = sources.length === 0 ? [null] : sources;
    locals.forEach((localAddress, at) => {
      const endpoint = { family: 4, address: target, port, scope: 0, localAddress, localInterface: 0 } as const;
      writeEndpoint(arena, this.#endpointsAt + at * ENDPOINT_BYTES, endpoint);
    });
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
    this.#words[at + UDP_SEND.ENDPOINT_OFFSET] = this.#endpointsAt + (number % this.#sources) * ENDPOINT_BYTES;
  }
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
