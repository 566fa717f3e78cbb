/**
 * Paths of a peer: pairs of a local address (or interface) and a remote endpoint, each with a life of its own. The control
 * lane measures them and decides which are used (`path-manager.ts`); lanes send by that word and count by path.
 */
import type { Endpoint } from '../packet/endpoint.ts';

/** Paths of one peer, those included that were learnt from it. */
export const PATHS_MAX = 8;
/** No path: the peer's endpoint as WireGuard knows it, or a source that is no path's. */
export const NO_PATH = -1;

/** Of a path's first guess. */
export const WEIGHT_MAX = 1_000;

/**
 * `follow`: answer where the peer's traffic comes from. `failover`: the first path that lives. `redundant`: all that live.
 * `weighted`: each datagram over the path on which it arrives first, by measured capacity. `lowest-latency`: the quickest that lives.
 */
export const PATH_MODES = ['follow', 'failover', 'redundant', 'weighted', 'lowest-latency'] as const;
export type PathMode = (typeof PATH_MODES)[number];

/** A path as configuration has it. */
export interface PathSettings {
  /** 1 to 15 letters, digits, `-`, `_` or `.`. */
  readonly name: string;
  /** Numeric address to send from; null: by route. */
  readonly localAddress: string | null;
  /** Interface to send through, whatever the route says; null: by route. */
  readonly localInterface: string | null;
  /** Numeric; null: the peer's endpoint. */
  readonly endpoint: { readonly address: string; readonly port: number } | null;
  /** First guess of its share, at least 1; what is measured replaces it. */
  readonly weight: number;
  /** Used only when no other path lives. */
  readonly isBackup: boolean;
}

/** A path as a lane has it, in the slot by whose number both speak of it. */
export interface LanePath {
  /** 0 to PATHS_MAX - 1. */
  readonly path: number;
  /** With local address and interface where those are given. */
  readonly endpoint: Endpoint;
  /** Whether the interface is to be used whatever the route says. */
  readonly isBound: boolean;
  /** `first`: datagrams are sent over it; `copy`: their copies are; `idle`: only what is sent over it by name. */
  readonly use: 'first' | 'copy' | 'idle';
  /** Estimated capacity, bytes per ms, and one-way delay, ms: for `weighted`. */
  readonly rateBytesPerMs: number;
  readonly delayMs: number;
  /** What waited on the path by the last round trip, ms, when that began (CLOCK_MONOTONIC ms; -Infinity for never). */
  readonly queueMs: number;
  readonly queueAtMs: number;
}

/** What a lane is told of a peer's paths. */
export interface LanePaths {
  readonly mode: PathMode;
  readonly paths: readonly LanePath[];
  /** Smoothed RTT of the paths in use, ms; 0 while unknown. Repeats are asked for by it. */
  readonly rttMs: number;
  /** Whether the peer answers what histories say: it has announced that it knows gaps, paths, parity. */
  readonly knows: { readonly gaps: boolean; readonly paths: boolean; readonly parity: boolean };
  /** Share of first sendings that are lost, 0 to 1, as the peer reports, or as seen from it where it does not report. */
  readonly loss: number;
}

/** What the control lane knows of a path, as status tells it. */
export interface PathFigures {
  /** Slot, 0 to PATHS_MAX - 1, by which lanes count. */
  readonly path: number;
  /** As configured; `learnt` and a number for one that the peer brought. */
  readonly name: string;
  readonly state: 'unknown' | 'alive' | 'dead';
  readonly use: LanePath['use'];
  /** Where it leads, with local address and interface where those are given; null while no endpoint is known. */
  readonly endpoint: Endpoint | null;
  /** Smoothed round trip, ms; null before the first answer. */
  readonly rttMs: number | null;
  /** Share of what is sent over it that is lost, 0 to 1; null while nothing says so. */
  readonly loss: number | null;
  /** Estimated capacity, bytes per ms; null while unknown. */
  readonly rateBytesPerMs: number | null;
  /** When something authentic last came over it, CLOCK_MONOTONIC ms; 0 for never. */
  readonly lastHeardMs: number;
}
