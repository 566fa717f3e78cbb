/** What is known of a running tunnel; `tunnel-use.ts`, `tunnel-loss.ts` and `tunnel-path.ts` judge it. */
import type { PrivilegeReport } from '../control/privilege-report.ts';
import type { DeviceStatus } from '../device-types.ts';
import { TRAFFIC } from '../ledger/catalog.ts';
import type { DeviceSnapshot } from '../ledger/snapshot.ts';
import type { NetworkFacts } from './network.ts';

export interface TunnelFacts {
  readonly name: string;
  /** May hold more than this version knows: see `textField`. */
  readonly status: DeviceStatus;
  /** The books since the start, and over the time in which the doctor watched. */
  readonly total: DeviceSnapshot;
  readonly recent: DeviceSnapshot;
  /** Null where its process cannot be seen (not root, or another PID namespace). */
  readonly process: ProcessFacts | null;
  readonly routes: RouteFacts;
}

export interface ProcessFacts {
  /** Cores of its affinity; null where unknown. */
  readonly coresAllowed: number | null;
  readonly quotaCores: number | null;
  readonly throttledCount: number | null;
  readonly memoryLimitBytes: number | null;
  /** Packets that the TUN's queue dropped because they were not read: since the start, and while watched; null where unknown. */
  readonly tunDropped: GrowingCount | null;
  /** Datagrams that found its sockets' buffers full. */
  readonly socketDropped: GrowingCount;
  /** Sockets of other programs on its port. */
  readonly strangersOnPort: number;
  /** What it may do. */
  readonly privileges: PrivilegeReport;
  /** Settings of the tunnel's network namespace. */
  readonly network: Pick<NetworkFacts, 'forwarding4' | 'forwarding6' | 'reversePathFilter'>;
}

export interface GrowingCount {
  readonly total: number;
  readonly recent: number;
}

export interface RouteFacts {
  readonly routes: readonly Route[];
  /** Endpoints that were not looked at, for there are so many. */
  readonly skipped: number;
}

export interface Route {
  /** Address without port. */
  readonly address: string;
  readonly family: 4 | 6;
  /** MTU of the way there, bytes; null where no route leads there. */
  readonly mtu: number | null;
}

export interface Books {
  readonly books: DeviceSnapshot;
  /** Whether they are those of the time watched; else of all the time since the start. */
  readonly isRecent: boolean;
  readonly when: string;
}

/** Fewer packets than this tell nothing of a tunnel under load. */
const PACKETS_MIN = 1_000;

/** The books to judge by: of the time watched if something moved meanwhile, else since the start; null if nothing moved yet. */
export function tellingBooks({ recent, total }: TunnelFacts): Books | null {
  if (packetsOf(recent) >= PACKETS_MIN) return { books: recent, isRecent: true, when: 'while watched' };
  if (packetsOf(total) >= PACKETS_MIN) return { books: total, isRecent: false, when: 'since it started' };
  return null;
}

/** Packets and datagrams at all edges of the lanes. */
function packetsOf({ total }: DeviceSnapshot): number {
  return TRAFFIC.reduce((sum, { packets }) => sum + total.counts[packets], 0);
}

/** A text that a gigatun of another version may tell beside what this one knows; null where it does not. */
export function textField(value: object, key: string): string | null {
  const field: unknown = Object.entries(value).find(([name]) => name === key)?.[1];
  return typeof field === 'string' ? field : null;
}
