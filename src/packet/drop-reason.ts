/** Why a packet or datagram left its path early: a closed list. A drop always has one of these and is counted. */

export interface DropReason {
  /** Position in the ledger's drop cells. */
  readonly id: number;
  /** Stable name, as reports and metrics print it. */
  readonly name: DropName;
  readonly direction: 'outbound' | 'inbound';
  /** One sentence: what happened. */
  readonly meaning: string;
}

const reasons = [
  ['OUT_NOT_IP', 'outbound', 'The TUN gave a packet that is neither IPv4 nor IPv6, or shorter than its header says.'],
  [
    'OUT_BAD_OFFLOAD',
    'outbound',
    'The virtio header names an unknown kind of super-packet or offsets outside the packet, or the kernel could not describe it.',
  ],
  ['OUT_NO_ROUTE', 'outbound', 'No allowed IPs of any peer hold the destination.'],
  [
    'OUT_LOOP',
    'outbound',
    "A datagram of the tunnel's own was routed into it: a route leads to the peer's endpoint through itself.",
  ],
  ['OUT_QUEUE_LONG', 'outbound', 'The TUN queue stayed long: a TCP segment was dropped so that its sender slows down.'],
  ['OUT_NO_ENDPOINT', 'outbound', 'The peer has no endpoint yet.'],
  ['OUT_TOO_LONG', 'outbound', 'A segment is longer than the largest inner packet the lane has room for.'],
  [
    'OUT_STAGED_OVERFLOW',
    'outbound',
    'A staged packet made room for a newer one, or found none, while no keypair was ready.',
  ],
  [
    'OUT_STAGED_EXPIRED',
    'outbound',
    'Staged packets were given up because the handshake failed for REKEY_ATTEMPT_TIME.',
  ],
  ['OUT_SEND_FULL', 'outbound', 'The socket buffer was full (EAGAIN or ENOBUFS).'],
  ['OUT_SEND_FAILED', 'outbound', 'The kernel refused the datagram (unreachable, not permitted, too long).'],
  ['OUT_COUNTER_LIMIT', 'outbound', 'The keypair has used its last transport counter.'],
  ['IN_TOO_SHORT', 'inbound', 'A datagram is shorter than its message type.'],
  ['IN_BAD_TYPE', 'inbound', 'An unknown message type, or reserved bytes that are not zero.'],
  ['IN_BAD_LENGTH', 'inbound', 'A handshake message with a wrong length.'],
  ['IN_UNKNOWN_INDEX', 'inbound', 'No keypair has the receiver index.'],
  ['IN_KEYPAIR_EXPIRED', 'inbound', 'The keypair is older than REJECT_AFTER_TIME.'],
  ['IN_COUNTER_LIMIT', 'inbound', 'The transport counter is beyond the last allowed one.'],
  ['IN_BAD_TAG', 'inbound', 'The AEAD tag is wrong.'],
  ['IN_REPLAY', 'inbound', 'The transport counter was seen before (a duplicate).'],
  ['IN_TOO_OLD', 'inbound', 'The transport counter lies behind the replay window.'],
  ['IN_TOO_LATE', 'inbound', 'A missing datagram came after it had been given up.'],
  ['IN_NOT_IP', 'inbound', 'The inner packet is neither IPv4 nor IPv6, or its length field exceeds it.'],
  ['IN_CONTROL_QUEUE', 'inbound', 'A control message of another gigatun came while too many had come in that second.'],
  ['IN_BAD_SOURCE', 'inbound', 'The inner source address is not among the allowed IPs of the peer that sent it.'],
  [
    'IN_CONGESTION',
    'inbound',
    'The datagram was marked (CE) on its way, and the sender of its inner packet does not know ECN: a loss tells it (RFC 6040).',
  ],
  ['IN_TUN_FULL', 'inbound', 'The TUN took no more (EAGAIN or ENOBUFS).'],
  ['IN_TUN_DOWN', 'inbound', 'The TUN interface is down (EIO).'],
  ['IN_TUN_REFUSED', 'inbound', 'The TUN refused the packet (EINVAL and other errors).'],
  ['IN_HANDSHAKE_QUEUE', 'inbound', 'A handshake message found the queue to the control lane full.'],
  [
    'IN_HANDSHAKE_RATE',
    'inbound',
    'A handshake message of right form came while its address, or all addresses together, had sent too many; a cookie may have answered it.',
  ],
  [
    'IN_HANDSHAKE_BAD',
    'inbound',
    'A handshake message was refused: MAC, decryption, timestamp, rate, or nothing waits for it.',
  ],
] as const;

export type DropName = (typeof reasons)[number][0];

/** All reasons, by id. */
export const DROP_REASONS: readonly DropReason[] = reasons.map(([name, direction, meaning], id) => ({
  id,
  name,
  direction,
  meaning,
}));

/** Id of each reason, by name. */
export const DROP: Readonly<Record<DropName, number>> = Object.fromEntries(
  reasons.map(([name], id) => [name, id]),
) as Record<DropName, number>;
