/**
 * Figures of histories as plain values that survive JSON: what a peer's books say in all, and of the last seconds. Counts go
 * by the names of the books' cells (`history/history-cells.ts`).
 */

/** What happened on one path within a time. */
export type PathCounts = Readonly<Record<string, number>>;

/** What happened within a time. */
export interface HistoryFigures {
  /** How long that was, s. */
  readonly seconds: number;
  /** Copies, repeats, parity, gaps and what became of them, by name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Datagrams sent and received over all paths, by name. */
  readonly sums: PathCounts;
  /**
   * Shares of the datagrams that the peer sent that were missing until repeats or parity filled them, or for ever; and that were
   * missing for ever. 0 to 1; null where nothing was expected. Datagrams without a packet (probes, parity, keepalives) count like all
   * others: what one that never came has held, nobody knows. What copies save is in neither: their paths' own losses tell.
   */
  readonly lossBefore: number | null;
  readonly lossAfter: number | null;
}

export interface PathStatus {
  /** As configured; that of a path that the peer brought begins with `learnt`. */
  readonly name: string;
  readonly state: 'unknown' | 'alive' | 'dead';
  /** `first`: datagrams go over it; `copy`: their copies do; `idle`: neither. */
  readonly use: 'first' | 'copy' | 'idle';
  /** Address or interface that is sent from; null: by route. */
  readonly local: string | null;
  /** `address:port`; null while unknown. */
  readonly endpoint: string | null;
  /** Smoothed round trip, ms; null before the first measurement. */
  readonly rttMs: number | null;
  /** Share of what is sent over it that is lost, 0 to 1; null while unknown. */
  readonly loss: number | null;
  /** Estimated capacity, bytes per second; null while unknown. */
  readonly rateBytesPerSecond: number | null;
  /** Since something authentic came over it last, ms; null for never. */
  readonly heardAgoMs: number | null;
  readonly total: PathCounts;
  /** Of the same times as the peer's. */
  readonly intervals: readonly PathCounts[];
}

export interface HistoryStatus {
  /** Which paths are used, such as `failover`. */
  readonly mode: string;
  /** Empty for a peer that has one endpoint, as WireGuard knows it. */
  readonly paths: readonly PathStatus[];
  /** Since histories of this peer are kept. */
  readonly total: HistoryFigures;
  /** Of the last second, 10 seconds and 60 seconds. */
  readonly intervals: readonly HistoryFigures[];
}

/** Histories of one peer. */
export interface PeerHistoryStatus extends HistoryStatus {
  /** Base64. */
  readonly publicKey: string;
}
