/**
 * What configuration says of sending more than once, for one peer: copies, repeats, order, forward error correction, paths.
 * Plain values, as they go to the lanes.
 */
import { PART_ALIGNMENT } from '../packet/region-pool.ts';
import type { PathMode, PathSettings } from '../path/path-types.ts';
import { BLOCK_DATAGRAMS_MAX, BLOCK_PARITIES_MAX } from '../protocol/parity-message.ts';

/** Which datagrams are copied; a datagram is when one of these holds for it. */
export interface CopyFilter {
  /** Datagrams of at most SMALL_BYTES. */
  readonly small: boolean;
  /** Handshake messages and keepalives. */
  readonly handshake: boolean;
  /** Inner packets with one of these DSCPs, 0 to 63. */
  readonly dscps: readonly number[];
}

export interface CopySettings {
  /** How often each datagram is sent in all, 1 (no copies) to COPIES_MAX. */
  readonly count: number;
  /** ms between two sendings of a datagram over the same path, 0 (at once) to 1,000. */
  readonly delayMs: number;
  /** Null: all. */
  readonly only: CopyFilter | null;
  /** `loss`: only while the loss that is measured asks for it. */
  readonly when: 'always' | 'loss';
  /** Most copies, as a share of the bytes that are sent first: 1 is one copy of everything. */
  readonly budget: number;
}

export interface FecSettings {
  /** `auto`: by RTT and loss, also against repeats. */
  readonly mode: 'off' | 'on' | 'auto';
  /** Datagrams in a full block, 1 to FEC_DATA_MAX, and parity messages for it, 1 to FEC_PARITY_MAX. */
  readonly data: number;
  readonly parity: number;
  /** ms after which a block that is not full is closed. */
  readonly delayMs: number;
}

export interface HistorySettings {
  readonly copies: CopySettings;
  /** A missing datagram is asked for, and sent again, for so long, ms; 0: never. */
  readonly retransmitMs: number;
  /** Most repeats, as a share of the bytes that are sent first. */
  readonly retransmitBudget: number;
  /** Which inner packets wait for those sent before them. */
  readonly inOrder: 'off' | 'tcp' | 'all';
  /** Longest wait for that, ms; null: as long as a repeat may take. */
  readonly holdMs: number | null;
  readonly fec: FecSettings;
  /** Bytes of sealed datagrams that a lane keeps for the peer. */
  readonly ringBytes: number;
  /** In the order of the configuration; none: the peer has the one endpoint that WireGuard knows. */
  readonly paths: readonly PathSettings[];
  /** Null: by what else is said (`failover` with paths of its own, `follow` without). */
  readonly pathMode: PathMode | null;
}

/** The same before names are looked up: of the paths, only how many there are matters here. */
type AnySettings = Omit<HistorySettings, 'paths'> & { readonly paths: readonly unknown[] };

export const COPIES_MAX = 4;
/** Longest datagram that counts as small, bytes of UDP payload. */
export const SMALL_BYTES = 256;
/** Of `CopyDelay` and `FecDelay`, ms. */
export const DELAY_MS_MAX = 1_000;
/** Of `Retransmit` and `HoldTime`, ms. */
export const WAIT_MS_MAX = 10_000;
export const FEC_DATA_MAX: number = BLOCK_DATAGRAMS_MAX;
export const FEC_PARITY_MAX: number = BLOCK_PARITIES_MAX;
export const RING_BYTES_MIN = 1_048_576;
export const RING_BYTES_DEFAULT = 4_194_304;
export const RING_BYTES_MAX = 67_108_864;
/** What a derived MTU is lower by where there is forward error correction: parity must fit the path as well. */
export const FEC_MTU_BYTES = 60;
/** What a lane keeps of a peer's packets that wait for those before them. */
export const HOLD_BYTES = 4_194_304;
/** Sealed bytes that are kept of a peer: more than comes between a datagram and its parity, at 10 Gbit/s. */
export const KEPT_BYTES = 2_097_152;
/** What is remade of a peer's datagrams in one turn. */
export const REMADE_BYTES = 131_072;
/** All that a lane keeps of all peers. */
export const HISTORIES_BYTES_MAX = 134_217_728;

/**
 * Tables of a lane beside that, of a peer with any settings, bytes: which of its counters are missing, of two keypairs; where
 * its ring has what, of two keypairs; what waits for order, for its copies, or for parity.
 */
export const TABLE_BYTES = {
  gaps: 337_000,
  ring: 1_165_000,
  order: 250_000,
  copies: 127_000,
  parity: 110_000,
} as const;

/** A peer of which configuration says nothing. */
export const NO_HISTORY: HistorySettings = {
  copies: { count: 1, delayMs: 0, only: null, when: 'always', budget: 1 },
  retransmitMs: 0,
  retransmitBudget: 0.25,
  inOrder: 'off',
  holdMs: null,
  fec: { mode: 'off', data: 10, parity: 2, delayMs: 20 },
  ringBytes: RING_BYTES_DEFAULT,
  paths: [],
  pathMode: null,
};

/** Whether nothing is asked for that WireGuard does not do by itself. */
export function isPlain({ copies, retransmitMs, inOrder, fec, paths, pathMode }: AnySettings): boolean {
  const isSentOnce = copies.count === 1 && retransmitMs === 0 && fec.mode === 'off';
  return isSentOnce && inOrder === 'off' && paths.length === 0 && pathMode === null;
}

/** Whether lanes keep what they send to the peer: who sends nothing a second time later does not. */
export function keepsSent({ copies, retransmitMs, fec }: Omit<HistorySettings, 'paths'>): boolean {
  return retransmitMs > 0 || fec.mode !== 'off' || (copies.count > 1 && copies.delayMs > 0);
}

/** Bytes of a lane's ring for the peer; 0 where it keeps none. */
function ringBytesOf(settings: Omit<HistorySettings, 'paths'>): number {
  return keepsSent(settings) ? settings.ringBytes : 0;
}

/**
 * Bytes that a lane's histories of all peers may fill: what is kept to be sent again, what waits for its turn, and what came and
 * may help to remake what did not.
 */
export function historyBytesOf(all: readonly Omit<HistorySettings, 'paths'>[]): number {
  return all.reduce((sum, settings) => sum + peerBytes(settings), 0);
}

/** Bytes of memory that a lane's histories of all peers come to when they are full, tables included. */
export function historyMemoryOf(all: readonly Omit<HistorySettings, 'paths'>[]): number {
  return all.reduce((sum, settings) => sum + tableBytes(settings), historyBytesOf(all));
}

function tableBytes(settings: Omit<HistorySettings, 'paths'>): number {
  const { inOrder, copies, fec } = settings;
  const isDelayed = copies.count > 1 && copies.delayMs > 0;
  const { gaps, ring, order, copies: delayed, parity } = TABLE_BYTES;
  const sent = (keepsSent(settings) ? ring : 0) + (isDelayed ? delayed : 0);
  return gaps + sent + (inOrder === 'off' ? 0 : order) + (fec.mode === 'off' ? 0 : parity);
}

function peerBytes(settings: Omit<HistorySettings, 'paths'>): number {
  const ring = Math.ceil(ringBytesOf(settings) / PART_ALIGNMENT) * PART_ALIGNMENT;
  const hold = settings.inOrder === 'off' ? 0 : HOLD_BYTES;
  return ring + hold + (settings.fec.mode === 'off' ? 0 : KEPT_BYTES + REMADE_BYTES);
}

/** Whether the peer's counters must all be seen by one lane. */
export function needsOneLane({ retransmitMs, inOrder, fec, pathMode }: Omit<HistorySettings, 'paths'>): boolean {
  return retransmitMs > 0 || inOrder !== 'off' || fec.mode !== 'off' || pathMode === 'weighted';
}
