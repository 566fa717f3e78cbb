/**
 * What both sides of the native boundary know: the columns of every descriptor, in 32-bit words.
 *
 * Descriptors lie in the arena at a byte offset that is a multiple of 4, one after the other. `native/core/layout.h`
 * states the same numbers in C; a test holds the two equal. All offsets and lengths are bytes within the arena.
 */

/** A packet that one `read()` of the TUN brought: virtio header and inner packet or super-packet. */
export const TUN_READ = {
  /** Offset of the 10-byte virtio header; the inner packet behind it starts at a multiple of 16. */
  OFFSET: 0,
  /** Bytes read, virtio header included; 0: a packet that the kernel could not describe and dropped. */
  LENGTH: 1,
  WORDS: 2,
} as const;

/** One `writev()` to the TUN: a list of pieces, the first of which starts with the virtio header. */
export const TUN_WRITE = {
  /** Offset of the list of pieces: pairs of words (offset, length). */
  PIECES_OFFSET: 0,
  /** Number of pieces, 1 to 1,024. */
  PIECES_COUNT: 1,
  /** Out: bytes written, or a negative errno. */
  RESULT: 2,
  /** Inner packets that this write carries; not read by native code. */
  PACKETS: 3,
  WORDS: 4,
} as const;

/** An endpoint: remote address and port, and the local address and interface to send from (sticky source). */
export const ENDPOINT = {
  /** 4, 6, or 0 for none. */
  FAMILY: 0,
  /** UDP port in host byte order. */
  PORT: 1,
  /** Four words: the address bytes as on the wire; IPv4 uses the first word. */
  ADDRESS: 2,
  /** IPv6 scope id (interface index) of a link-local address, else 0. */
  SCOPE: 6,
  /** Four words: local address bytes as on the wire; all zero means: let the kernel choose. */
  LOCAL_ADDRESS: 7,
  /**
   * Local interface index, or 0. `receiveUdp` always sets it. `sendUdp` heeds it for a link-local LOCAL_ADDRESS (fe80::/10)
   * alone: with any other, datagrams keep their source and follow the route to whichever interface it leads. A negative
   * one is the interface (its index negated) that datagrams leave through whatever the route says, also without LOCAL_ADDRESS.
   */
  LOCAL_INTERFACE: 11,
  WORDS: 12,
} as const;

/** One received message: one datagram, or several of equal length but for a shorter last one (GRO). */
export const UDP_RECEIVE = {
  OFFSET: 0,
  LENGTH: 1,
  /** Length of each datagram but the last (GRO), or 0 when there is only one. */
  SEGMENT_LENGTH: 2,
  /** Outer traffic class byte (DSCP and ECN), or -1 when the kernel did not say. */
  TRAFFIC_CLASS: 3,
  /** ENDPOINT.WORDS words: where it came from and which local address it came to. */
  ENDPOINT: 4,
  WORDS: 16,
} as const;

/** One datagram group: consecutive datagrams to one endpoint, equal length but for a shorter last (GSO). */
export const UDP_SEND = {
  OFFSET: 0,
  LENGTH: 1,
  /** Length of each datagram but the last, or 0 for a single datagram. */
  SEGMENT_LENGTH: 2,
  /** Outer traffic class byte, or -1 for the socket's default. */
  TRAFFIC_CLASS: 3,
  /** Byte offset in the arena of an ENDPOINT record. */
  ENDPOINT_OFFSET: 4,
  /** Out: bytes sent, or a negative errno. */
  RESULT: 5,
  /** Datagrams in the group; not read by native code. */
  DATAGRAMS: 6,
  /** Index of the peer; not read by native code. */
  PEER: 7,
  /** Path of the peer, or -1; not read by native code. */
  PATH: 8,
  /** What histories have to know of the group; not read by native code. */
  MARKS: 9,
  WORDS: 10,
} as const;

/**
 * One message to seal: the packet is gathered from head and payload into `OUT_OFFSET`, its checksum is filled in,
 * it is padded with zeros to `PADDED_LENGTH`, encrypted in place, and followed by the 16-byte tag.
 */
export const SEAL = {
  /** Slot of the key, see `setKey`. */
  KEY_SLOT: 0,
  /**
   * Lower half of the 64-bit counter, of which and four zero bytes before it the nonce is made: little-endian for
   * ChaCha20-Poly1305, big-endian for AES-256-GCM.
   */
  NONCE_LOW: 1,
  /** Upper half of the counter. */
  NONCE_HIGH: 2,
  HEAD_OFFSET: 3,
  HEAD_LENGTH: 4,
  PAYLOAD_OFFSET: 5,
  /** May be 0. */
  PAYLOAD_LENGTH: 6,
  /** At least head + payload length. */
  PADDED_LENGTH: 7,
  /** Where the ciphertext starts; PADDED_LENGTH + 16 bytes are written. Must not overlap head or payload. */
  OUT_OFFSET: 8,
  /** First byte of the packet that the checksum covers (to the end of the payload), or -1 for no checksum. */
  CHECKSUM_START: 9,
  /** Where in the packet the checksum is stored, from the packet's start. Its old content is covered like any byte. */
  CHECKSUM_FIELD: 10,
  /** Added to the sum: ones' complement sum of big-endian 16-bit words (of the pseudo header), 0 to 2^31 - 1. */
  CHECKSUM_SEED: 11,
  WORDS: 12,
} as const;

/** One message to unseal in place. */
export const UNSEAL = {
  KEY_SLOT: 0,
  NONCE_LOW: 1,
  NONCE_HIGH: 2,
  /** Where the ciphertext starts. The plaintext replaces it. */
  OFFSET: 3,
  /** Ciphertext and tag, at least 16. */
  LENGTH: 4,
  /** Out: length of the plaintext, or -1 when the tag is wrong (the plaintext is then zeroed) or the key slot empty. */
  RESULT: 5,
  /** Out: folded ones' complement sum (0 to 65,535) of the plaintext's big-endian 16-bit words. */
  SUM: 6,
  /** Word 7 is reserved. */
  WORDS: 8,
} as const;

/** One product to add: the bytes at OUT_OFFSET become the sum of what they are and COEFFICIENT times those at IN_OFFSET, in GF(256). */
export const ACCUMULATE = {
  IN_OFFSET: 0,
  /** Must not overlap what is added. */
  OUT_OFFSET: 1,
  /** May be 0. */
  LENGTH: 2,
  /** 0 to 255. */
  COEFFICIENT: 3,
  WORDS: 4,
} as const;

/** One initiation or response whose MACs are checked, or that is answered with a cookie. */
export const HANDSHAKE = {
  OFFSET: 0,
  /** 148 or 92: its type is not looked at. */
  LENGTH: 1,
  /** Byte offset in the arena of an ENDPOINT record: where it came from. */
  ENDPOINT_OFFSET: 2,
  /** Where the cookie reply, 64 bytes, is written; not read by `checkMacs`. */
  OUT_OFFSET: 3,
  /** Out, by `checkMacs`: MACS. */
  RESULT: 4,
  WORDS: 5,
} as const;

/** Bits of HANDSHAKE.RESULT. mac2 is looked at behind a good mac1 only. */
export const MACS = { MAC1: 1, MAC2: 2 } as const;

/** Keys of `checkMacs` and `sealCookies`, words in the arena. */
export const HANDSHAKE_KEYS = {
  /** 32 bytes: key of mac1 in messages to us. */
  MAC1: 0,
  /** 32 bytes: of cookie replies by us. */
  SEALING: 8,
  /** 32 random bytes, of which and a source its cookie is made. */
  SECRET: 16,
  /** 24 bytes: nonce of the next cookie reply. Its last eight count, and `sealCookies` moves them on. */
  NONCE: 24,
  WORDS: 30,
} as const;

/** Ciphers of keys, as `setKey` takes them. */
export const CIPHER = { CHACHA20_POLY1305: 0, AES_256_GCM: 1, COUNT: 2 } as const;

/** Bits that `wait` returns. */
export const READY = { WAKE: 1, TUN: 2, UDP4: 4, UDP6: 8, TUN_FAILED: 16, LINK: 32 } as const;

/** Bits of a TUN's offloads, as `TUNSETOFFLOAD` takes them. */
export const TUN_OFFLOAD = { CSUM: 1, TSO4: 2, TSO6: 4, TSO_ECN: 8, USO4: 32, USO6: 64 } as const;

/** Length of the virtio header before each packet of the TUN, bytes. */
export const VIRTIO_HEADER_LENGTH = 10;

/** Cells of a lane's private books, a Float64Array that native code writes and only its own thread reads. */
export const BOOKS = {
  /** Nanoseconds (CLOCK_MONOTONIC) of the last switch of activity: the lane's cheap clock. */
  NOW_NS: 0,
  /** Nanoseconds when the books were opened. */
  OPENED_NS: 1,
  /** Number of the present activity. */
  ACTIVITY: 2,
  /** System calls that moved data, by what they did. */
  READ_TUN_IO: 3,
  WRITE_TUN_IO: 4,
  SEND_UDP_IO: 5,
  RECV_UDP_IO: 6,
  WAIT_IO: 7,
  /** 12 cells: nanoseconds per activity, in the order of the catalog. */
  ACTIVITY_NS: 8,
  /** Part of KERN_WAIT in which the thread slept: neither on a core nor waiting for one. */
  SLEEP_NS: 20,
  /** 12 cells: part of each activity in which the thread was runnable but had no core (waits that made a stretch longer than 0.2 ms). */
  CORE_WAIT_NS: 21,
  CELLS: 40,
} as const;

/** Cells that `threadUsage` fills; all nanoseconds, of the calling thread where not said otherwise. */
export const USAGE = {
  MONOTONIC_NS: 0,
  BOOT_NS: 1,
  REAL_NS: 2,
  /** getrusage(RUSAGE_THREAD): user and system time; exact in their sum, tick-sampled in their split. */
  USER_NS: 3,
  SYSTEM_NS: 4,
  /** CLOCK_THREAD_CPUTIME_ID. */
  CPU_NS: 5,
  /** Time spent runnable but not running (/proc/thread-self/schedstat, second field), or -1 where the kernel has none. */
  RUN_QUEUE_WAIT_NS: 6,
  /** Voluntary and involuntary context switches (counts). */
  VOLUNTARY_SWITCHES: 7,
  INVOLUNTARY_SWITCHES: 8,
  /** Minor and major page faults (counts). */
  MINOR_FAULTS: 9,
  MAJOR_FAULTS: 10,
  CELLS: 16,
} as const;
