/**
 * The typed face of the addon: twenty verbs, nothing else. Verbs that run on the hot path take a lane handle, byte
 * offsets into its arena, a count, and `next`: the activity that the books switch to when the verb returns. On entry
 * each verb switches the books to its own activity (in brackets below), so that no switch costs a call of its own.
 *
 * Errors: a wrong type is a TypeError; an offset, length, count, slot or activity outside its range is a RangeError
 * (checked for the whole batch before anything is moved); a failed system call is an Error with the properties `code` (such as
 * 'EPERM'), `errno` (positive) and `syscall`. A failure of one packet of a batch is its RESULT, never an exception.
 */

declare const laneBrand: unique symbol;
/** Opaque lane handle: file descriptors, keys, AEAD contexts and the arena. Belongs to the thread that opened it. */
export type LaneHandle = { readonly [laneBrand]: true };

export interface TunOptions {
  /** Interface name, at most 15 bytes; may hold %d. Empty with `fd`. */
  readonly name: string;
  readonly multiQueue: boolean;
  /** Wanted TUN_OFFLOAD bits. CSUM|TSO4|TSO6 are set first; USO bits are tried after and left out if refused. */
  readonly offloads: number;
  /** Adopt this open descriptor instead of opening /dev/net/tun. */
  readonly fd?: number;
}
export interface TunOpened {
  /** The caller's; closed with `closeSync` of node:fs. */
  readonly fd: number;
  readonly name: string;
  /** TUN_OFFLOAD bits that the kernel accepted. */
  readonly offloads: number;
  /** Whether further queues may be opened under the same name. */
  readonly multiQueue: boolean;
}

export interface UdpOptions {
  readonly family: 4 | 6;
  /** 0 lets the kernel choose. */
  readonly port: number;
  /** Sockets of this user with `joinPort` may share the port from now on. */
  readonly reusePort: boolean;
  /** With `reusePort`: joins those that share the port. false: the port must be free, also of sockets that share it. */
  readonly joinPort: boolean;
  /** SO_MARK; 0 for none. */
  readonly fwmark: number;
  /** Wanted socket buffer, bytes, each direction: SO_*BUFFORCE, then SO_*BUF, then what the kernel gives. */
  readonly bufferLength: number;
  /** Whether the kernel may join received datagrams (UDP GRO). */
  readonly gro: boolean;
  /** Set GRO and mark of this open socket, and describe it, instead of opening one; it stays the caller's. */
  readonly fd?: number;
  /** true: a socket that neither sends nor receives, for a lane that has none for a while; nothing else counts. */
  readonly standIn?: boolean;
  /** The socket takes the number of this open one, or of its stand-in, which is closed; with `fd`, that number is closed too. */
  readonly replaces?: number;
}
export interface UdpOpened {
  /** The caller's; closed with `closeSync` of node:fs. */
  readonly fd: number;
  readonly port: number;
  /** What the kernel granted, bytes (as getsockopt reports it). */
  readonly receiveBufferLength: number;
  readonly sendBufferLength: number;
  readonly gro: boolean;
  readonly gso: boolean;
  /** Most datagrams that one GSO send may carry on this kernel: 64 or 128 (probed), 1 without GSO. */
  readonly gsoDatagramsMax: number;
}

export interface LaneOptions {
  /** The arena: a Uint8Array over a SharedArrayBuffer, at most 2^31 - 1 bytes. Held by the handle. */
  readonly arena: Uint8Array;
  /** BOOKS.CELLS cells. Held by the handle. */
  readonly books: Float64Array;
  /** Descriptors, or -1 where the lane has none; UDP sockets or their stand-ins. The handle does not close them. */
  readonly tunFd: number;
  readonly udp4Fd: number;
  readonly udp6Fd: number;
  /** 'openssl' now; more later. 'auto' takes the fastest. */
  readonly aead: 'auto' | 'openssl' | 'ipsec-mb';
  /** false: no clock is read and no time is booked (to measure what the books cost); io counts go on. */
  readonly bookTime: boolean;
  /** Whether `wait` hears of changes of links (READY.LINK) in the thread's network namespace. Default false. */
  readonly watchLink?: boolean;
}
export interface LaneOpened {
  readonly handle: LaneHandle;
  /** eventfd that `wait` watches; `wake` writes to it from any thread. Owned and closed by the handle. */
  readonly wakeFd: number;
  readonly aead: 'openssl' | 'ipsec-mb';
}

export interface LinkInfo {
  readonly index: number;
  readonly mtu: number;
  /** IFF_UP. */
  readonly up: boolean;
  /** Packets that each TUN queue holds (txqueuelen). */
  readonly txQueueLength: number;
}

export interface Addon {
  openTun(options: TunOptions): TunOpened;
  openUdp(options: UdpOptions): UdpOpened;
  /**
   * Interface behind a TUN descriptor (by ioctl; works in whichever namespace the thread is), after its queue length was
   * set where `txQueueLength` is not -1.
   */
  linkInfo(tunFd: number, name: string, txQueueLength: number): LinkInfo;
  openLane(options: LaneOptions): LaneOpened;
  /** Ends the handle: keys zeroed, contexts and eventfd freed. Later calls with it are TypeErrors. Twice is fine. */
  closeLane(handle: LaneHandle): void;
  /** Wakes the lane that waits on this eventfd. */
  wake(wakeFd: number): void;
  /** [KERN_WAIT] Waits for any of `watch` (READY bits) up to timeoutMs (-1: for ever; 0: only looks). Returns READY bits; WAKE and LINK are consumed; EINTR returns 0. */
  wait(handle: LaneHandle, timeoutMs: number, watch: number, next: number): number;
  /**
   * [KERN_READ_TUN] Reads up to `packetsMax` packets, packed one behind the other (each inner packet at a multiple of 16)
   * into the buffer, while at least 65,568 bytes of it remain and no more than bytesMax were read. Returns the count; 0 when empty.
   * Throws the system error when the device is gone (EBADFD, EBADF). EIO (interface down) is as good as empty. After any
   * other error the kernel has dropped the packet, for which a descriptor of LENGTH 0 stands.
   */
  readTun(
    handle: LaneHandle,
    descriptors: number,
    packetsMax: number,
    bufferOffset: number,
    bufferLength: number,
    bytesMax: number,
    next: number,
  ): number;
  /** [KERN_WRITE_TUN] One writev per descriptor, each RESULT set; returns how many succeeded. */
  writeTun(handle: LaneHandle, descriptors: number, count: number, next: number): number;
  /** [KERN_RECV_UDP] recvmmsg until empty, `receivesMax` messages, or less than 65,536 bytes of buffer remain; each at a multiple of 64 bytes, behind the one before. family 4 or 6. Pending socket errors (ECONNREFUSED…) are skipped. Returns the count. */
  receiveUdp(
    handle: LaneHandle,
    family: number,
    descriptors: number,
    receivesMax: number,
    bufferOffset: number,
    bufferLength: number,
    next: number,
  ): number;
  /** [KERN_SEND_UDP] Sends each group, in order (sendmmsg over runs of one family), each RESULT set; returns how many succeeded. EAGAIN/ENOBUFS are results. */
  sendUdp(handle: LaneHandle, descriptors: number, count: number, next: number): number;
  /** [USER_ENCRYPT] Throws RangeError for an empty key slot. */
  seal(handle: LaneHandle, descriptors: number, count: number, next: number): void;
  /** [USER_DECRYPT] Returns how many were good. */
  unseal(handle: LaneHandle, descriptors: number, count: number, next: number): number;
  /**
   * [as before] Adds each product, in order: sums of bytes times coefficients over GF(256) with the polynomial 0x11d, of which
   * forward error correction makes and solves its equations.
   */
  accumulate(handle: LaneHandle, descriptors: number, count: number, next: number): void;
  /** [as before] Checks mac1 and mac2 of HANDSHAKEs, each in constant time, eight side by side; sets each RESULT. `keys`: offset of HANDSHAKE_KEYS. */
  checkMacs(handle: LaneHandle, descriptors: number, count: number, keys: number, next: number): void;
  /** [as before] Writes the cookie reply to each HANDSHAKE, with nonces that count up from that of `keys`, which is moved on. */
  sealCookies(handle: LaneHandle, descriptors: number, count: number, keys: number, next: number): void;
  /**
   * Installs a 32-byte key for one of the CIPHERs in a slot (0 to 2^20 - 1); or zeroes it, with null and no cipher.
   * The key is copied, and expanded where its cipher expands keys.
   */
  setKey(
    handle: LaneHandle,
    slot: number,
    ...key: readonly [key: Uint8Array, cipher: number] | readonly [key: null]
  ): void;
  /** Switches the books to an activity. */
  book(handle: LaneHandle, next: number): void;
  /** Fills USAGE.CELLS cells for the calling thread. */
  threadUsage(cells: Float64Array): void;
  /**
   * Takes rights away from the whole process, for good: no core dumps, no tracing by other processes of its user; and,
   * unless `keep` is -1, in every thread all capabilities but those of `keep` (2 ** n for capability n) and new
   * privileges by executing programs. Returns the number of threads, 0 for -1. Blocks for some milliseconds; other
   * threads see EINTR where they wait.
   */
  harden(keep: number): number;
}
