/**
 * The one memory block of a lane and its map. Everything that native code touches lies here: packets as read, headers
 * of segments, sealed datagrams, received datagrams, descriptors. Its size is fixed at start; regions never move.
 *
 * The same bytes are seen through several views: bytes, 32-bit words (descriptors) and a DataView (wire fields, which
 * need not be aligned).
 */
import {
  ACCUMULATE,
  ENDPOINT,
  HANDSHAKE,
  HANDSHAKE_KEYS,
  SEAL,
  TUN_READ,
  TUN_WRITE,
  UDP_RECEIVE,
  UDP_SEND,
  UNSEAL,
} from '../native/layout.ts';

/** Largest packet that one TUN read can bring: virtio header, 65,535 bytes, and room to align. */
export const SUPER_PACKET_BYTES_MAX = 65_568;
/** Largest UDP payload that one receive can bring. */
export const SUPER_DATAGRAM_BYTES_MAX = 65_536;

/** Limits of one batch; native code takes at most 1,024 descriptors a call. */
export const LIMIT = {
  /** Packets (or super-packets) read from the TUN per batch. */
  TUN_READS: 128,
  /** Bytes after which a batch of TUN reads ends: about four super-packets, so that in and out stay in the L2 cache. */
  TUN_READ_BYTES: 196_608,
  /** Segments sealed per batch. */
  SEALS: 512,
  /** Datagram groups sent per batch. */
  SENDS: 512,
  /** Receives per batch; each brings one datagram or a GRO group of them. */
  RECEIVES: 64,
  /** Bytes of datagrams received per batch. */
  RECEIVE_BYTES: 262_144,
  /** Transport messages unsealed per batch. */
  UNSEALS: 512,
  /** Writes to the TUN per batch. */
  WRITES: 512,
  /** Pieces of all writes of a batch. */
  PIECES: 1_024,
  /** Products summed in one call: all datagrams of a full block, for all its parities. */
  ACCUMULATES: 256,
  /** Handshake messages judged in one go. */
  HANDSHAKES: 128,
  /** Longest header (IP with options or extensions, and TCP or UDP) that a segment may have. */
  SEGMENT_HEADER_BYTES: 256,
} as const;

const ALIGNMENT = 64;

/** Hands out regions of the arena, one behind the other, each at a multiple of 64 bytes. */
class Layout {
  length = 0;

  region(bytes: number): number {
    const offset = this.length;
    this.length = Math.ceil((offset + bytes) / ALIGNMENT) * ALIGNMENT;
    return offset;
  }
}

/** A lane's arena: views and the offset of each region, in bytes. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly view: DataView;

  readonly tunReads: number;
  readonly seals: number;
  readonly sends: number;
  readonly sendEndpoints: number;
  readonly receives: number;
  readonly unseals: number;
  readonly writes: number;
  readonly pieces: number;
  readonly accumulates: number;
  /** Handshake messages to be judged, and those of them to be answered with a cookie. */
  readonly handshakes: number;
  readonly cookies: number;
  readonly handshakeKeys: number;
  readonly segmentHeaders: number;
  readonly segmentHeadersLength: number;
  readonly tunIn: number;
  readonly tunInLength: number;
  readonly udpOut: number;
  readonly udpOutLength: number;
  readonly udpIn: number;
  readonly udpInLength: number;
  readonly staged: number;
  readonly stagedLength: number;
  readonly controlOut: number;
  readonly controlOutLength: number;
  readonly histories: number;
  readonly historiesLength: number;

  /**
   * `stagedLength`: bytes of inner packets that may wait for keypairs; `historiesLength`: of peers' histories, which cost
   * nothing until they are used.
   */
  constructor(stagedLength: number, historiesLength = 0) {
    const layout = new Layout();
    this.tunReads = layout.region(LIMIT.TUN_READS * TUN_READ.WORDS * 4);
    this.seals = layout.region(LIMIT.SEALS * SEAL.WORDS * 4);
    this.sends = layout.region(LIMIT.SENDS * UDP_SEND.WORDS * 4);
    this.sendEndpoints = layout.region(LIMIT.SENDS * ENDPOINT.WORDS * 4);
    this.receives = layout.region(LIMIT.RECEIVES * UDP_RECEIVE.WORDS * 4);
    this.unseals = layout.region(LIMIT.UNSEALS * UNSEAL.WORDS * 4);
    this.writes = layout.region(LIMIT.WRITES * TUN_WRITE.WORDS * 4);
    this.pieces = layout.region(LIMIT.PIECES * 2 * 4);
    this.accumulates = layout.region(LIMIT.ACCUMULATES * ACCUMULATE.WORDS * 4);
    this.handshakes = layout.region(LIMIT.HANDSHAKES * HANDSHAKE.WORDS * 4);
    this.cookies = layout.region(LIMIT.HANDSHAKES * HANDSHAKE.WORDS * 4);
    this.handshakeKeys = layout.region(HANDSHAKE_KEYS.WORDS * 4);
    this.segmentHeadersLength = LIMIT.SEALS * 128;
    this.segmentHeaders = layout.region(this.segmentHeadersLength);
    // Each read starts at a multiple of 16.
    this.tunInLength = LIMIT.TUN_READ_BYTES + LIMIT.TUN_READS * 16 + SUPER_PACKET_BYTES_MAX;
    this.tunIn = layout.region(this.tunInLength);
    // Sealing adds 16 + 16 bytes and up to 15 of padding to each segment, and copies its header.
    this.udpOutLength = this.tunInLength + LIMIT.SEALS * 256;
    this.udpOut = layout.region(this.udpOutLength);
    this.udpInLength = LIMIT.RECEIVE_BYTES + SUPER_DATAGRAM_BYTES_MAX;
    this.udpIn = layout.region(this.udpInLength);
    this.stagedLength = stagedLength;
    this.staged = layout.region(stagedLength);
    this.controlOutLength = SUPER_DATAGRAM_BYTES_MAX;
    this.controlOut = layout.region(this.controlOutLength);
    this.historiesLength = historiesLength;
    this.histories = layout.region(historiesLength);
    const memory = new SharedArrayBuffer(layout.length);
    this.bytes = new Uint8Array(memory);
    this.words = new Int32Array(memory);
    this.view = new DataView(memory);
  }
}
