/**
 * One UDP socket of a load, over the addon's own verbs: groups go out by UDP_SEGMENT or one by one in one system call for many,
 * and come in joined (UDP_GRO). The socket owns a small arena; datagrams are written in place.
 */
import { closeSync } from 'node:fs';
import { isIP } from 'node:net';
import { endpointOf } from '../../endpoint-text.ts';
import { GigatunError } from '../../errors.ts';
import * as addon from '../../native/addon.ts';
import { BOOKS, ENDPOINT, READY, UDP_RECEIVE, UDP_SEND } from '../../native/layout.ts';
import type { LaneHandle } from '../../native/types.ts';
import { writeEndpoint } from '../../packet/endpoint.ts';

const BUFFER_BYTES = 7 << 20;
const SENDS_MAX = 256;
const RECEIVES_MAX = 64;
const OUT_BYTES = 1 << 19;
const IN_BYTES = 1 << 20;
/** Bytes of a group: with its headers it stays below 65,536, or the device would not segment it. */
export const GROUP_BYTES_MAX = 65_408;
/** The books of these ends are not read. */
const NEXT_ACTIVITY = 0;

const OUT_ENDPOINT = 0;
const SENDS = OUT_ENDPOINT + 64;
const RECEIVES = SENDS + SENDS_MAX * UDP_SEND.WORDS * 4;
const OUT = RECEIVES + RECEIVES_MAX * UDP_RECEIVE.WORDS * 4;
const IN = OUT + OUT_BYTES;

/** Takes each datagram that came: where it lies in `view`, and its length. */
export type Taker = (at: number, length: number) => void;

export class LoadSocket {
  readonly view: DataView;
  readonly port: number;
  /** Most datagrams in one group on this machine. */
  readonly groupDatagramsMax: number;
  /** Where datagrams to send are written, and how many bytes fit. */
  readonly out: number = OUT;
  readonly outLength: number = OUT_BYTES;
  readonly #family: 4 | 6;
  readonly #fd: number;
  readonly #handle: LaneHandle;
  readonly #words: Int32Array;

  /** Port 0 lets the kernel choose. Throws GigatunError as `openUdp` does. */
  constructor(family: 4 | 6, port: number) {
    const sharing = { reusePort: false, joinPort: false, gro: true };
    const opened = addon.openUdp({ family, port, ...sharing, fwmark: 0, bufferLength: BUFFER_BYTES });
    const arena = new Uint8Array(new SharedArrayBuffer(IN + IN_BYTES));
    const fds = { tunFd: -1, udp4Fd: family === 4 ? opened.fd : -1, udp6Fd: family === 6 ? opened.fd : -1 };
    const books = new Float64Array(BOOKS.CELLS);
    this.#handle = addon.openLane({ arena, books, ...fds, aead: 'openssl', bookTime: false }).handle;
    this.#fd = opened.fd;
    this.#family = family;
    this.#words = new Int32Array(arena.buffer);
    this.view = new DataView(arena.buffer);
    this.port = opened.port;
    this.groupDatagramsMax = opened.gsoDatagramsMax;
  }

  /** Where everything goes from now on: a numeric address and a port. */
  aim(address: string, port: number): void {
    writeEndpoint(new Uint8Array(this.#words.buffer), OUT_ENDPOINT, endpointOf({ address, port }));
  }

  /** Waits until something came, at most `ms`. */
  wait(ms: number): boolean {
    return addon.wait(this.#handle, ms, READY.UDP4 | READY.UDP6, NEXT_ACTIVITY) !== 0;
  }

  /** Takes what is there, up to a batch; says how many datagrams. From then on `send` goes to where the last came from, if `answering`. */
  receive(take: Taker, answering = false): number {
    const words = this.#words;
    const count = addon.receiveUdp(this.#handle, this.#family, RECEIVES, RECEIVES_MAX, IN, IN_BYTES, NEXT_ACTIVITY);
    let datagrams = 0;
    for (let receive = 0; receive < count; receive += 1) {
      const at = (RECEIVES >> 2) + receive * UDP_RECEIVE.WORDS;
      datagrams += eachDatagram(words, at, take);
      const source = at + UDP_RECEIVE.ENDPOINT;
      if (answering) words.copyWithin(OUT_ENDPOINT >> 2, source, source + ENDPOINT.WORDS);
    }
    return datagrams;
  }

  /** Sends `count` datagrams of `length` bytes that lie one behind the other at `out`, as one group. False when there is no room. */
  sendGroup(count: number, length: number): boolean {
    this.#describe(0, OUT, count * length, count > 1 ? length : 0);
    return addon.sendUdp(this.#handle, SENDS, 1, NEXT_ACTIVITY) === 1;
  }

  /** Sends `count` (1 to 256) datagrams of `length` bytes at `out`, each on its own; returns how many were taken. */
  sendEach(count: number, length: number): number {
    for (let send = 0; send < count; send += 1) this.#describe(send, OUT + send * length, length, 0);
    return addon.sendUdp(this.#handle, SENDS, count, NEXT_ACTIVITY);
  }

  close(): void {
    addon.closeLane(this.#handle);
    closeSync(this.#fd);
  }

  #describe(send: number, offset: number, length: number, segmentLength: number): void {
    const words = this.#words;
    const at = (SENDS >> 2) + send * UDP_SEND.WORDS;
    words[at + UDP_SEND.OFFSET] = offset;
    words[at + UDP_SEND.LENGTH] = length;
    words[at + UDP_SEND.SEGMENT_LENGTH] = segmentLength;
    words[at + UDP_SEND.TRAFFIC_CLASS] = -1;
    words[at + UDP_SEND.ENDPOINT_OFFSET] = OUT_ENDPOINT;
  }
}

/** Most datagrams of `sendEach`. */
export const SEND_EACH_MAX: number = SENDS_MAX;

/** IP version of a numeric address. Throws GigatunError CONFIG for anything else. */
export function familyOf(address: string): 4 | 6 {
  const version = isIP(address);
  if (version === 4 || version === 6) return version;
  throw new GigatunError('CONFIG', `expected an IPv4 or IPv6 address, got '${address}'`);
}

function eachDatagram(words: Int32Array, at: number, take: Taker): number {
  const start = words[at + UDP_RECEIVE.OFFSET] ?? 0;
  const end = start + (words[at + UDP_RECEIVE.LENGTH] ?? 0);
  const stride = words[at + UDP_RECEIVE.SEGMENT_LENGTH] || end - start || 1;
  let datagrams = 0;
  for (let offset = start; offset < end; offset += stride) {
    take(offset, Math.min(stride, end - offset));
    datagrams += 1;
  }
  return datagrams;
}
