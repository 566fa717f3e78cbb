/**
 * An addon without a kernel: the addon's verbs over the arena, as native code does them, with queues in place of
 * devices. It packs reads, checks offsets and refuses what native code refuses. `seal` gathers, fills in the checksum
 * and pads but does not encrypt, so that what was sealed can be read; its tag depends on key, nonce and bytes, so that
 * `unseal` takes what a peer's `seal` made and nothing else. The clock stands still until a test moves it.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import {
  ACCUMULATE,
  BOOKS,
  ENDPOINT,
  HANDSHAKE,
  HANDSHAKE_KEYS,
  MACS,
  SEAL,
  TUN_READ,
  TUN_WRITE,
  UDP_RECEIVE,
  UDP_SEND,
  UNSEAL,
  USAGE,
  VIRTIO_HEADER_LENGTH,
} from '../../src/native/layout.ts';
import type {
  Addon,
  LaneHandle,
  LaneOpened,
  LaneOptions,
  LinkInfo,
  TunOpened,
  UdpOpened,
} from '../../src/native/types.ts';
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/packet/endpoint.ts';
import { mac } from '../../src/protocol/hash.ts';
import { hasValidMac1, hasValidMac2, mac1Of } from '../../src/protocol/mac.ts';
import { encodeCookieReply } from '../../src/protocol/messages.ts';
import { slowProduct } from '../reference/galois.ts';
import { checksumField, onesSum } from '../reference/internet-checksum.ts';
import { concat } from '../reference/ip.ts';

const TUN_ROOM = 65_568;
const UDP_ROOM = 65_536;
const TAG_LENGTH = 16;
const BATCH_MAX = 1_024;

/** One write to the TUN, its pieces put together. */
export interface TunWrite {
  readonly virtio: Uint8Array;
  readonly packet: Uint8Array;
  readonly pieces: number;
  /** Inner packets, as the descriptor says. */
  readonly packets: number;
}

/** One UDP send: a group of datagrams. */
export interface UdpSend {
  /** Place of the group in the arena. */
  readonly offset: number;
  readonly length: number;
  /** As the kernel would cut it. */
  readonly datagrams: readonly Uint8Array[];
  /** As the descriptor says. */
  readonly segmentLength: number;
  readonly datagramsSaid: number;
  readonly endpoint: Endpoint | null;
  readonly peer: number;
  readonly trafficClass: number;
}

/** What a receive brings. */
export interface UdpArrival {
  readonly bytes: Uint8Array;
  /** Length of each datagram but the last, or 0 for a single one. */
  readonly segmentLength: number;
  readonly source: Endpoint | null;
  /** Of the outer header; -1 where the kernel does not say, as when left out. */
  readonly trafficClass?: number;
}

interface FakeHandshake {
  readonly at: number;
  readonly source: Uint8Array;
  readonly message: Uint8Array;
}

const HANDLE = {} as LaneHandle;
type SetKeyArguments = readonly [key: Uint8Array, cipher: number] | readonly [key: null];

export class FakeAddon implements Addon {
  bytes: Uint8Array = new Uint8Array(0);
  words: Int32Array = new Int32Array(0);
  books: Float64Array = new Float64Array(BOOKS.CELLS);
  nowMs = 1_000_000;
  /** Keys by slot. */
  readonly keys: Map<number, Uint8Array> = new Map();
  /** Their ciphers. */
  readonly ciphers: Map<number, number> = new Map();
  /** Packets that wait in the TUN, virtio header first. */
  readonly tunQueue: Uint8Array[] = [];
  readonly udpQueue: Record<4 | 6, UdpArrival[]> = { 4: [], 6: [] };
  /** What was written and sent. */
  readonly tunWrites: TunWrite[] = [];
  readonly udpSends: UdpSend[] = [];
  /** Every group that was tried, in order, with the errno that it met (0: sent). */
  readonly udpTries: (UdpSend & { readonly errno: number })[] = [];
  /** Errno of each TUN write and each UDP send to come; 0 lets it pass. */
  writeErrno: (write: TunWrite) => number = () => 0;
  sendErrno: (send: UdpSend) => number = () => 0;
  /** What `wait` does and returns; by default nothing is ready. */
  onWait: (watch: number) => number = () => 0;
  /** Error that the next `readTun` throws. */
  readError: Error | null = null;
  isClosed = false;

  /** Takes the lane's arena and books, as `openLane` does. */
  attach(arena: Uint8Array, books: Float64Array): LaneHandle {
    this.bytes = arena;
    this.words = new Int32Array(arena.buffer);
    this.books = books;
    this.#enter(ACTIVITY.USER_CONTROL, ACTIVITY.USER_CONTROL);
    return HANDLE;
  }

  openLane({ arena, books }: LaneOptions): LaneOpened {
    return { handle: this.attach(arena, books), wakeFd: 7, aead: 'openssl' };
  }

  openTun(): TunOpened {
    throw new Error('the fake has no devices');
  }

  openUdp(): UdpOpened {
    throw new Error('the fake has no devices');
  }

  linkInfo(): LinkInfo {
    return { index: 1, mtu: 1420, up: true, txQueueLength: 500 };
  }

  closeLane(): void {
    this.isClosed = true;
    this.keys.clear();
  }

  wake(): void {}

  wait(_handle: LaneHandle, _timeoutMs: number, watch: number, next: number): number {
    this.#enter(ACTIVITY.KERN_WAIT, next);
    return this.onWait(watch);
  }

  readTun(
    _handle: LaneHandle,
    descriptors: number,
    packetsMax: number,
    bufferOffset: number,
    bufferLength: number,
    bytesMax: number,
    next: number,
  ): number {
    this.#enter(ACTIVITY.KERN_READ_TUN, next);
    this.#checkColumn(descriptors, packetsMax, TUN_READ.WORDS);
    this.#check(bufferOffset, bufferLength);
    if (this.readError !== null) throw this.readError;
    let at = bufferOffset;
    let count = 0;
    for (let bytes = 0; count < packetsMax && bytes <= bytesMax && at + TUN_ROOM <= bufferOffset + bufferLength; ) {
      const packet = this.tunQueue.shift();
      if (packet === undefined) break;
      at = Math.ceil((at + VIRTIO_HEADER_LENGTH) / 16) * 16 - VIRTIO_HEADER_LENGTH;
      this.bytes.set(packet, at);
      const descriptor = (descriptors >> 2) + count * TUN_READ.WORDS;
      this.words[descriptor + TUN_READ.OFFSET] = at;
      this.words[descriptor + TUN_READ.LENGTH] = packet.length;
      bytes += packet.length;
      at += packet.length;
      count += 1;
    }
    this.books[BOOKS.READ_TUN_IO] += count;
    return count;
  }

  writeTun(_handle: LaneHandle, descriptors: number, count: number, next: number): number {
    this.#enter(ACTIVITY.KERN_WRITE_TUN, next);
    this.#checkColumn(descriptors, count, TUN_WRITE.WORDS);
    const writes = Array.from({ length: count }, (_, write) =>
      this.#gather((descriptors >> 2) + write * TUN_WRITE.WORDS),
    );
    let good = 0;
    for (const [index, write] of writes.entries()) {
      const errno = this.writeErrno(write);
      const result = errno === 0 ? VIRTIO_HEADER_LENGTH + write.packet.length : -errno;
      this.words[(descriptors >> 2) + index * TUN_WRITE.WORDS + TUN_WRITE.RESULT] = result;
      if (errno !== 0) continue;
      good += 1;
      this.tunWrites.push(write);
    }
    this.books[BOOKS.WRITE_TUN_IO] += good;
    return good;
  }

  receiveUdp(
    _handle: LaneHandle,
    family: number,
    descriptors: number,
    receivesMax: number,
    bufferOffset: number,
    bufferLength: number,
    next: number,
  ): number {
    this.#enter(ACTIVITY.KERN_RECV_UDP, next);
    if (family !== 4 && family !== 6) throw new RangeError('a family is 4 or 6');
    this.#checkColumn(descriptors, receivesMax, UDP_RECEIVE.WORDS);
    this.#check(bufferOffset, bufferLength);
    let at = bufferOffset;
    let count = 0;
    for (; count < receivesMax; count += 1) {
      at = Math.ceil(at / 64) * 64;
      if (at + UDP_ROOM > bufferOffset + bufferLength) break;
      const arrival = this.udpQueue[family].shift();
      if (arrival === undefined) break;
      this.#store((descriptors >> 2) + count * UDP_RECEIVE.WORDS, at, arrival);
      at += arrival.bytes.length;
    }
    this.books[BOOKS.RECV_UDP_IO] += count;
    return count;
  }

  sendUdp(_handle: LaneHandle, descriptors: number, count: number, next: number): number {
    this.#enter(ACTIVITY.KERN_SEND_UDP, next);
    this.#checkColumn(descriptors, count, UDP_SEND.WORDS);
    let good = 0;
    for (let group = 0; group < count; group += 1) {
      const at = (descriptors >> 2) + group * UDP_SEND.WORDS;
      const send = this.#takeSend(at);
      const errno = this.sendErrno(send);
      this.words[at + UDP_SEND.RESULT] = errno === 0 ? send.length : -errno;
      this.udpTries.push({ ...send, errno });
      if (errno !== 0) continue;
      good += 1;
      this.udpSends.push(send);
    }
    this.books[BOOKS.SEND_UDP_IO] += good > 0 ? 1 : 0;
    return good;
  }

  seal(_handle: LaneHandle, descriptors: number, count: number, next: number): void {
    this.#enter(ACTIVITY.USER_ENCRYPT, next);
    this.#checkColumn(descriptors, count, SEAL.WORDS);
    const all = Array.from({ length: count }, (_, message) => (descriptors >> 2) + message * SEAL.WORDS);
    for (const at of all) this.#checkSeal(at);
    for (const at of all) this.#sealOne(at);
  }

  unseal(_handle: LaneHandle, descriptors: number, count: number, next: number): number {
    this.#enter(ACTIVITY.USER_DECRYPT, next);
    this.#checkColumn(descriptors, count, UNSEAL.WORDS);
    let good = 0;
    for (let message = 0; message < count; message += 1)
      good += this.#unsealOne((descriptors >> 2) + message * UNSEAL.WORDS) ? 1 : 0;
    return good;
  }

  accumulate(_handle: LaneHandle, descriptors: number, count: number, next: number): void {
    this.#enter(this.books[BOOKS.ACTIVITY], next);
    this.#checkColumn(descriptors, count, ACCUMULATE.WORDS);
    const all = Array.from({ length: count }, (_, product) => (descriptors >> 2) + product * ACCUMULATE.WORDS);
    for (const at of all) this.#checkProduct(at);
    for (const at of all) this.#addProduct(at);
  }

  checkMacs(_handle: LaneHandle, descriptors: number, count: number, keys: number, next: number): void {
    this.#enter(this.books[BOOKS.ACTIVITY], next);
    for (const { at, message, source } of this.#handshakes(descriptors, count, keys)) {
      const hasMac1 = hasValidMac1(message, this.#handshakeKey(keys, HANDSHAKE_KEYS.MAC1, 32));
      const cookie = mac(this.#handshakeKey(keys, HANDSHAKE_KEYS.SECRET, 32), source);
      const hasMac2 = hasMac1 && message.subarray(-16).some((byte) => byte !== 0) && hasValidMac2(message, cookie);
      this.words[at + HANDSHAKE.RESULT] = (hasMac1 ? MACS.MAC1 : 0) | (hasMac2 ? MACS.MAC2 : 0);
    }
  }

  sealCookies(_handle: LaneHandle, descriptors: number, count: number, keys: number, next: number): void {
    this.#enter(this.books[BOOKS.ACTIVITY], next);
    for (const { at, message, source } of this.#handshakes(descriptors, count, keys)) {
      const nonce = this.#handshakeKey(keys, HANDSHAKE_KEYS.NONCE, 24);
      const cookie = mac(this.#handshakeKey(keys, HANDSHAKE_KEYS.SECRET, 32), source);
      const key = this.#handshakeKey(keys, HANDSHAKE_KEYS.SEALING, 32);
      const sealed = xchacha20poly1305(key, nonce, mac1Of(message)).encrypt(cookie);
      const sender = new DataView(message.buffer).getInt32(4, true);
      const out = this.words[at + HANDSHAKE.OUT_OFFSET];
      this.#check(out, 64);
      this.bytes.set(encodeCookieReply(sender, nonce, sealed), out);
      const counting = new DataView(this.bytes.buffer, keys + HANDSHAKE_KEYS.NONCE * 4 + 16, 8);
      counting.setBigUint64(0, counting.getBigUint64(0, true) + 1n, true);
    }
  }

  setKey(_handle: LaneHandle, slot: number, ...[key, cipher]: SetKeyArguments): void {
    this.keys.delete(slot);
    this.ciphers.delete(slot);
    if (key === null) return;
    this.keys.set(slot, Uint8Array.from(key));
    this.ciphers.set(slot, cipher);
  }

  book(_handle: LaneHandle, next: number): void {
    this.#enter(this.books[BOOKS.ACTIVITY], next);
  }

  threadUsage(cells: Float64Array): void {
    cells.fill(0, 0, USAGE.CELLS);
  }

  harden(): number {
    return 0;
  }

  #enter(during: number, next: number): void {
    this.books[BOOKS.NOW_NS] = this.nowMs * 1e6;
    this.books[BOOKS.ACTIVITY_NS + during] += 1;
    this.books[BOOKS.ACTIVITY] = next;
  }

  #check(offset: number, length: number): void {
    if (offset < 0 || length < 0 || offset + length > this.bytes.length) throw new RangeError('outside the arena');
  }

  #checkColumn(offset: number, count: number, words: number): void {
    if (count > BATCH_MAX || offset % 4 !== 0) throw new RangeError('a wrong column of descriptors');
    this.#check(offset, count * words * 4);
  }

  #handshakeKey(keys: number, word: number, length: number): Uint8Array {
    return this.bytes.slice(keys + word * 4, keys + word * 4 + length);
  }

  /** Descriptors by their word, each message, and what the cookie of its source is made of. */
  #handshakes(descriptors: number, count: number, keys: number): FakeHandshake[] {
    this.#checkColumn(descriptors, count, HANDSHAKE.WORDS);
    this.#check(keys, HANDSHAKE_KEYS.WORDS * 4);
    return Array.from({ length: count }, (_, number) => {
      const at = (descriptors >> 2) + number * HANDSHAKE.WORDS;
      const [offset, length, endpoint] = this.words.subarray(at, at + HANDSHAKE.WORDS);
      if (length !== 148 && length !== 92) throw new RangeError('a wrong length');
      this.#check(offset, length);
      this.#check(endpoint, ENDPOINT.WORDS * 4);
      const source = this.bytes.slice(endpoint, endpoint + ENDPOINT.SCOPE * 4);
      return { at, source, message: this.bytes.slice(offset, offset + length) };
    });
  }

  #gather(descriptor: number): TunWrite {
    const list = this.words[descriptor + TUN_WRITE.PIECES_OFFSET];
    const pieces = this.words[descriptor + TUN_WRITE.PIECES_COUNT];
    if (pieces < 1 || pieces > BATCH_MAX || list % 4 !== 0) throw new RangeError('a wrong list of pieces');
    this.#check(list, pieces * 8);
    const parts = Array.from({ length: pieces }, (_, piece) => {
      const offset = this.words[(list >> 2) + piece * 2];
      const length = this.words[(list >> 2) + piece * 2 + 1];
      this.#check(offset, length);
      return this.bytes.slice(offset, offset + length);
    });
    const whole = concat(parts);
    return {
      virtio: whole.slice(0, VIRTIO_HEADER_LENGTH),
      packet: whole.slice(VIRTIO_HEADER_LENGTH),
      pieces,
      packets: this.words[descriptor + TUN_WRITE.PACKETS],
    };
  }

  #store(descriptor: number, at: number, { bytes, segmentLength, source, trafficClass = -1 }: UdpArrival): void {
    this.bytes.set(bytes, at);
    this.words.fill(0, descriptor, descriptor + UDP_RECEIVE.WORDS);
    this.words[descriptor + UDP_RECEIVE.OFFSET] = at;
    this.words[descriptor + UDP_RECEIVE.LENGTH] = bytes.length;
    this.words[descriptor + UDP_RECEIVE.TRAFFIC_CLASS] = trafficClass;
    this.words[descriptor + UDP_RECEIVE.SEGMENT_LENGTH] = segmentLength < bytes.length ? segmentLength : 0;
    writeEndpoint(this.bytes, (descriptor + UDP_RECEIVE.ENDPOINT) * 4, source);
  }

  #takeSend(at: number): UdpSend {
    const offset = this.words[at + UDP_SEND.OFFSET];
    const length = this.words[at + UDP_SEND.LENGTH];
    const segmentLength = this.words[at + UDP_SEND.SEGMENT_LENGTH];
    const endpointOffset = this.words[at + UDP_SEND.ENDPOINT_OFFSET];
    this.#check(offset, length);
    this.#checkColumn(endpointOffset, 1, ENDPOINT.WORDS);
    if (segmentLength < 0 || segmentLength > 65_535) throw new RangeError('a wrong segment length');
    const stride = segmentLength > 0 ? segmentLength : Math.max(length, 1);
    const datagrams: Uint8Array[] = [];
    for (let start = offset; start < offset + length; start += stride)
      datagrams.push(this.bytes.slice(start, Math.min(start + stride, offset + length)));
    return {
      offset,
      length,
      datagrams,
      segmentLength,
      datagramsSaid: this.words[at + UDP_SEND.DATAGRAMS],
      endpoint: readEndpoint(this.bytes, endpointOffset),
      peer: this.words[at + UDP_SEND.PEER],
      trafficClass: this.words[at + UDP_SEND.TRAFFIC_CLASS],
    };
  }

  #checkSeal(at: number): void {
    const word = (column: number): number => this.words[at + column];
    const length = word(SEAL.HEAD_LENGTH) + word(SEAL.PAYLOAD_LENGTH);
    const out = word(SEAL.OUT_OFFSET);
    const outLength = word(SEAL.PADDED_LENGTH) + TAG_LENGTH;
    const overlaps = (start: number, size: number): boolean =>
      size > 0 && start < out + outLength && out < start + size;
    this.#check(word(SEAL.HEAD_OFFSET), word(SEAL.HEAD_LENGTH));
    this.#check(word(SEAL.PAYLOAD_OFFSET), word(SEAL.PAYLOAD_LENGTH));
    this.#check(out, outLength);
    if (word(SEAL.PADDED_LENGTH) < length) throw new RangeError('a padded length is too short');
    if (overlaps(word(SEAL.HEAD_OFFSET), word(SEAL.HEAD_LENGTH))) throw new RangeError('an output overlaps its head');
    if (overlaps(word(SEAL.PAYLOAD_OFFSET), word(SEAL.PAYLOAD_LENGTH)))
      throw new RangeError('an output overlaps its payload');
    if (!this.keys.has(word(SEAL.KEY_SLOT))) throw new RangeError('a key slot is empty');
    if (word(SEAL.CHECKSUM_START) === -1) return;
    if (word(SEAL.CHECKSUM_START) < 0 || word(SEAL.CHECKSUM_START) > length || word(SEAL.CHECKSUM_FIELD) + 2 > length)
      throw new RangeError('a checksum lies outside the packet');
    if (word(SEAL.CHECKSUM_SEED) < 0) throw new RangeError('a checksum seed is negative');
  }

  #sealOne(at: number): void {
    const word = (column: number): number => this.words[at + column];
    const part = (offset: number, length: number): Uint8Array => this.bytes.slice(offset, offset + length);
    const packet = concat([
      part(word(SEAL.HEAD_OFFSET), word(SEAL.HEAD_LENGTH)),
      part(word(SEAL.PAYLOAD_OFFSET), word(SEAL.PAYLOAD_LENGTH)),
    ]);
    if (word(SEAL.CHECKSUM_START) !== -1) {
      const seed = onesSum(Uint8Array.from([0, 0, 0, 0].map((_, i) => word(SEAL.CHECKSUM_SEED) >>> (24 - 8 * i))));
      const covered = packet.slice(word(SEAL.CHECKSUM_START));
      const field = checksumField(concat([Uint8Array.from([seed >> 8, seed]), covered]));
      packet.set([field >> 8, field & 0xff], word(SEAL.CHECKSUM_FIELD));
    }
    const padded = new Uint8Array(word(SEAL.PADDED_LENGTH));
    padded.set(packet);
    const tag = fakeTag(this.keys.get(word(SEAL.KEY_SLOT)), word(SEAL.NONCE_LOW), word(SEAL.NONCE_HIGH), padded);
    this.bytes.set(concat([padded, tag]), word(SEAL.OUT_OFFSET));
  }

  #checkProduct(at: number): void {
    const [input, out, length, coefficient] = this.words.subarray(at, at + ACCUMULATE.WORDS);
    this.#check(input, length);
    this.#check(out, length);
    if (Math.abs(input - out) < length) throw new RangeError('a product overlaps its sum');
    if (coefficient < 0 || coefficient > 255) throw new RangeError('a coefficient is from 0 to 255');
  }

  #addProduct(at: number): void {
    const [input, out, length, coefficient] = this.words.subarray(at, at + ACCUMULATE.WORDS);
    for (let byte = 0; byte < length; byte += 1)
      this.bytes[out + byte] ^= slowProduct(coefficient, this.bytes[input + byte]);
  }

  #unsealOne(at: number): boolean {
    const word = (column: number): number => this.words[at + column];
    const offset = word(UNSEAL.OFFSET);
    const length = word(UNSEAL.LENGTH) - TAG_LENGTH;
    if (length < 0) throw new RangeError('a sealed message has at least 16 bytes');
    this.#check(offset, length + TAG_LENGTH);
    const plaintext = this.bytes.slice(offset, offset + length);
    const tag = this.bytes.slice(offset + length, offset + length + TAG_LENGTH);
    const key = this.keys.get(word(UNSEAL.KEY_SLOT));
    const good =
      key !== undefined &&
      Buffer.compare(fakeTag(key, word(UNSEAL.NONCE_LOW), word(UNSEAL.NONCE_HIGH), plaintext), tag) === 0;
    if (!good) this.bytes.fill(0, offset, offset + length);
    this.words[at + UNSEAL.RESULT] = good ? length : -1;
    this.words[at + UNSEAL.SUM] = good ? onesSum(plaintext) : 0;
    return good;
  }
}

/** A 16-byte tag that depends on all it is given (an FNV-1a sum; nobody attacks a test). */
export function fakeTag(key: Uint8Array | undefined, low: number, high: number, sealed: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(Int32Array.of(low, high).buffer);
  let sum = sealed.length;
  for (const bytes of [key ?? new Uint8Array(0), nonce, sealed])
    for (let at = 0; at < bytes.length; at += 1) sum = Math.imul(sum ^ bytes[at], 0x0100_0193);
  return new Uint8Array(Int32Array.of(sum, ~sum, low, high).buffer);
}
