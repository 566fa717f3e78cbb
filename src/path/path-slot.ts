/** One path of a peer as the manager has it: where it leads, how it is, what it is used for. */
import type { Endpoint } from '../packet/endpoint.ts';
import { PathHealth } from './path-health.ts';
import { PathRate } from './path-rate.ts';
import type { LanePath } from './path-types.ts';

/** A path with what its names mean at the moment. */
export interface ResolvedPath {
  readonly name: string;
  /** With local address and interface where those are given; null while the peer is nowhere. */
  readonly endpoint: Endpoint | null;
  /** Whether the interface is used whatever the route says. */
  readonly isBound: boolean;
  /** Whether its interface is up and its address there. */
  readonly isPresent: boolean;
  readonly isBackup: boolean;
  readonly weight: number;
}

export interface PathSlot extends ResolvedPath {
  readonly path: number;
  /** Brought by the peer, not by configuration. */
  readonly isLearnt: boolean;
  /** Whether it may carry data: what the peer brought must have answered a probe of ours first. */
  isProven: boolean;
  readonly health: PathHealth;
  readonly rate: PathRate;
  use: LanePath['use'];
  /** Whether the peer sends data over it; when it last said so, and how long after the time before, ms. */
  peerCarries: boolean;
  probedByPeerMs: number;
  peerEveryMs: number;
  /** When something authentic last came over it, ms. */
  heardMs: number;
  /** For so long it must live before it takes over again, ms, after the time it died last. */
  settleMs: number;
  diedMs: number;
  /** Datagrams sent, and refused by the kernel, as last looked at. */
  sentDatagrams: number;
  failedDatagrams: number;
  /** When it is tried again that was found dead without probes, ms; 0 for no such trial. */
  retryMs: number;
  retryWaitMs: number;
}

/** bytes per ms that a weight of one stands for, as long as nothing is measured. */
const WEIGHT_BYTES_PER_MS = 125;
const SETTLE_MS = 2_000;
const SETTLE_MOST_MS = 60_000;
/** A path that dies within so many ms of taking over again has to wait longer the next time. */
const RELAPSE_MS = 10_000;

export function newSlot(path: number, resolved: ResolvedPath, isLearnt: boolean, hasWeights: boolean): PathSlot {
  return {
    ...resolved,
    ...{ path, isLearnt, isProven: !isLearnt },
    health: new PathHealth(),
    rate: new PathRate(hasWeights ? resolved.weight * WEIGHT_BYTES_PER_MS : 0),
    use: 'idle',
    ...{ peerCarries: false, probedByPeerMs: Number.NEGATIVE_INFINITY, peerEveryMs: 0, heardMs: 0 },
    ...{ settleMs: 0, diedMs: Number.NEGATIVE_INFINITY },
    ...{ sentDatagrams: 0, failedDatagrams: 0, retryMs: 0, retryWaitMs: 0 },
  };
}

/** Takes note that a path has died: one that does so again and again comes back ever later. */
export function noteDeath(slot: PathSlot, nowMs: number): void {
  const isRelapse = nowMs - slot.health.aliveSinceMs < slot.settleMs + RELAPSE_MS;
  slot.settleMs = isRelapse && slot.settleMs > 0 ? Math.min(SETTLE_MOST_MS, slot.settleMs * 2) : SETTLE_MS;
  slot.diedMs = nowMs;
}

/** Whether it has lived long enough to take over from one that works. */
export function isSettled({ health, settleMs }: PathSlot, nowMs: number): boolean {
  return health.state === 'alive' && nowMs - health.aliveSinceMs >= settleMs;
}

/** Whether it can be sent over. */
export function isUsable({ endpoint, isPresent, isProven }: PathSlot): boolean {
  return endpoint !== null && isPresent && isProven;
}
