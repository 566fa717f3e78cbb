/**
 * Names, units and meanings of everything the ledger books: activities (time) and counters. Reports, metrics and docs
 * are made from this list. Activity numbers are what native code books by (`native/core/layout.h`).
 */

export interface Activity {
  readonly id: number;
  readonly name: ActivityName;
  /** The counter that the activity's time is divided by, or null (waiting, control). */
  readonly per: CounterName | null;
  readonly direction: 'outbound' | 'inbound' | 'neither';
  /** Whether its time is spent in the kernel (system time) or in user space. */
  readonly side: 'kernel' | 'user';
  readonly meaning: string;
}

const counters = [
  ['TUN_RX', 'packets', 'Inner packets (segments) read from the TUN.'],
  ['TUN_TX', 'packets', 'Inner packets written to the TUN.'],
  ['UDP_RX', 'datagrams', 'Datagrams received.'],
  ['UDP_TX', 'datagrams', 'Datagrams sent, copies included.'],
  ['UDP_RX_UNIQ', 'datagrams', 'Distinct transport messages delivered: authentic and new.'],
  ['UDP_TX_UNIQ', 'datagrams', 'Distinct transport messages sealed.'],
  ['TUN_RX_BYTES', 'bytes', 'Bytes of inner packets read from the TUN.'],
  ['TUN_TX_BYTES', 'bytes', 'Bytes of inner packets written to the TUN.'],
  ['UDP_RX_BYTES', 'bytes', 'Bytes of UDP payload received.'],
  ['UDP_TX_BYTES', 'bytes', 'Bytes of UDP payload sent.'],
  ['TUN_READ_IO', 'system calls', 'Reads of the TUN that brought a packet.'],
  ['TUN_WRITE_IO', 'system calls', 'Writes to the TUN that carried a packet.'],
  ['UDP_RECV_IO', 'system calls', 'Receives that brought a datagram.'],
  ['UDP_SEND_IO', 'system calls', 'Sends that carried a datagram.'],
  ['WAIT_IO', 'waits', 'Waits for work, each a look at what is ready and, if nothing is, a sleep.'],
  ['UDP_SEND_GROUPS', 'groups', 'Datagram groups sent (one UDP GSO message each).'],
  ['KEEPALIVE_TX', 'messages', 'Keepalives sealed.'],
  ['KEEPALIVE_RX', 'messages', 'Keepalives received.'],
  ['HANDSHAKE_RX', 'messages', 'Handshake messages handed to the control lane.'],
  ['HANDSHAKE_TX', 'messages', 'Handshake messages sent.'],
  ['CONTROL_RX', 'messages', 'Control messages of other gigatuns received.'],
  ['CONTROL_TX', 'messages', 'Control messages to other gigatuns sealed: announcements, probes, reports.'],
  ['COPIES_TX', 'datagrams', 'Datagrams sent again as copies, at once or after a while.'],
  ['REPEATS_TX', 'datagrams', 'Datagrams sent again because the peer missed them.'],
  ['PARITY_TX', 'messages', 'Parity messages (forward error correction) sealed.'],
  ['PARITY_RX', 'messages', 'Parity messages received.'],
  ['REPAIRED_RX', 'datagrams', 'Missing datagrams that came after they were asked for, or were made from parity.'],
  ['STAGED', 'packets', 'Packets that waited for a keypair.'],
  ['COALESCED', 'packets', 'Inner packets that were merged into a super-packet before the write.'],
  ['CONGESTION_MARKS', 'packets', 'Inner packets marked (ECN) because the TUN queue stayed long.'],
  [
    'CONGESTION_TAKEN',
    'packets',
    'Inner packets that took the ECN mark (CE or ECT(1)) that their datagram got on its way.',
  ],
  ['TURNS', 'turns', "Passes of the lane's loop."],
] as const;

export type CounterName = (typeof counters)[number][0];

export interface Counter {
  readonly id: number;
  readonly name: CounterName;
  readonly unit: string;
  readonly meaning: string;
}

export const COUNTERS: readonly Counter[] = counters.map(([name, unit, meaning], id) => ({ id, name, unit, meaning }));

/** Cell of each counter, by name. */
export const COUNTER: Readonly<Record<CounterName, number>> = Object.fromEntries(
  counters.map(([name], id) => [name, id]),
) as Record<CounterName, number>;

const activities = [
  ['KERN_READ_TUN', 'TUN_RX', 'outbound', 'kernel', 'in read() of the TUN'],
  ['USER_TUN_TO_UDP', 'TUN_RX', 'outbound', 'user', 'split, route, headers, grouping'],
  ['USER_ENCRYPT', 'UDP_TX_UNIQ', 'outbound', 'user', 'gather, checksum, AEAD'],
  ['USER_TX_HISTORY', 'UDP_TX_UNIQ', 'outbound', 'user', 'keeping sent datagrams, choosing what to send again'],
  ['KERN_SEND_UDP', 'UDP_TX', 'outbound', 'kernel', 'in sendmsg()/sendmmsg()'],
  ['KERN_RECV_UDP', 'UDP_RX', 'inbound', 'kernel', 'in recvmsg()/recvmmsg()'],
  ['USER_DECRYPT', 'UDP_RX_UNIQ', 'inbound', 'user', 'AEAD'],
  ['USER_RX_HISTORY', 'UDP_RX', 'inbound', 'user', 'replay window, duplicates, gaps'],
  ['USER_UDP_TO_TUN', 'UDP_RX', 'inbound', 'user', 'parsing, verify, coalesce'],
  ['KERN_WRITE_TUN', 'TUN_TX', 'inbound', 'kernel', 'in write() of the TUN'],
  ['KERN_WAIT', null, 'neither', 'kernel', 'blocked in poll: idle'],
  ['USER_CONTROL', null, 'neither', 'user', 'control messages, handshake hand-over, anything else'],
] as const;

export type ActivityName = (typeof activities)[number][0];

export const ACTIVITIES: readonly Activity[] = activities.map(([name, per, direction, side, meaning], id) => ({
  id,
  name,
  per,
  direction,
  side,
  meaning,
}));

/** Number of each activity, by name. */
export const ACTIVITY: Readonly<Record<ActivityName, number>> = Object.fromEntries(
  activities.map(([name], id) => [name, id]),
) as Record<ActivityName, number>;

export interface Direction {
  readonly direction: Activity['direction'];
  readonly meaning: string;
  /** The counter of inner packets that the direction's whole time is divided by. */
  readonly packets: CounterName | null;
}

/** The directions in which activities are grouped, in the order of reports. */
export const DIRECTIONS: readonly Direction[] = [
  { direction: 'outbound', meaning: 'TUN to UDP', packets: 'TUN_RX' },
  { direction: 'inbound', meaning: 'UDP to TUN', packets: 'TUN_TX' },
  { direction: 'neither', meaning: 'waiting and control', packets: null },
];

export interface Traffic {
  /** Counter of packets or datagrams. */
  readonly packets: CounterName;
  readonly bytes: CounterName;
  /** Counter of the system calls that carried them. */
  readonly io: CounterName;
}

/** Which counters belong together at each of the four edges of a lane, in the packet's order. */
export const TRAFFIC: readonly Traffic[] = [
  { packets: 'TUN_RX', bytes: 'TUN_RX_BYTES', io: 'TUN_READ_IO' },
  { packets: 'UDP_TX', bytes: 'UDP_TX_BYTES', io: 'UDP_SEND_IO' },
  { packets: 'UDP_RX', bytes: 'UDP_RX_BYTES', io: 'UDP_RECV_IO' },
  { packets: 'TUN_TX', bytes: 'TUN_TX_BYTES', io: 'TUN_WRITE_IO' },
];
