/**
 * Which datagram groups a path carries, and the shapes in which that is probed. A path that breaks groups (a driver, a
 * virtual switch, a middle that segments wrongly) mostly breaks one shape alone: groups above some size, or the shorter
 * last datagram.
 */

/** What may be sent to a peer: at most so many datagrams in a group (1: no groups), the last shorter or not. */
export interface GroupShapes {
  readonly datagramsMax: number;
  readonly shortTail: boolean;
}

/** One group of a probe round; a single datagram is a group of one, and short if it has a short tail. */
export interface ProbeGroup {
  readonly datagrams: number;
  readonly shortTail: boolean;
}

/**
 * Longest group. A device segments nothing that has 65,536 bytes or more with link, IP and UDP headers (gso_max_size in the
 * kernel's gso_features_check): such a group is cut in software and comes out as single datagrams, at twice the cost.
 */
export const GROUP_BYTES_MAX = 65_408;
/** Transport header and tag around a plaintext. */
const SEALED_OVERHEAD = 32;
const SHORT_LENGTH_MIN = 64;
/** Equal groups of each size per round. Small ones are repeated, so that random loss alone never fails them. */
const EQUAL_GROUPS: readonly (readonly [datagrams: number, groups: number])[] = [
  [2, 8],
  [4, 3],
  [8, 2],
  [16, 2],
  [32, 1],
  [64, 1],
  [128, 1],
];
const TAIL_GROUPS: readonly (readonly [datagrams: number, groups: number])[] = [
  [2, 8],
  [8, 4],
];
/** Single datagrams of each length beside the groups. */
export const SINGLES = 8;

/** Group sizes that are told apart on a kernel that takes `datagramsMax` in one group, in rising order. */
export function sizesOf(datagramsMax: number): number[] {
  return EQUAL_GROUPS.map(([datagrams]) => datagrams).filter((datagrams) => datagrams <= datagramsMax);
}

/** The round that only looks whether all is well: the largest group, with a short tail. */
export function quickRound(datagramsMax: number): ProbeGroup[] {
  return [{ datagrams: datagramsMax, shortTail: true }];
}

/** The round that tells which shape fails. Single datagrams stand at both ends, so that a full queue hits them alike. */
export function fullRound(datagramsMax: number): ProbeGroup[] {
  const rows = (list: typeof EQUAL_GROUPS, shortTail: boolean): ProbeGroup[] =>
    list
      .filter(([datagrams]) => datagrams <= datagramsMax)
      .flatMap(([datagrams, groups]) => Array.from({ length: groups }, () => ({ datagrams, shortTail })));
  const singles = Array.from({ length: SINGLES }, (_, index) => ({ datagrams: 1, shortTail: index % 2 === 1 }));
  return [...singles, ...rows(EQUAL_GROUPS, false), ...rows(TAIL_GROUPS, true), ...singles];
}

/** Length of each plaintext of a group, the last one's included, for an interface's MTU: as long as its data may be. */
export function plaintextLengths({ datagrams, shortTail }: ProbeGroup, mtu: number): number[] {
  const room = Math.floor(GROUP_BYTES_MAX / datagrams) - SEALED_OVERHEAD;
  const full = room < mtu ? room - (room % 16) : mtu;
  const half = Math.max(SHORT_LENGTH_MIN, Math.floor(full / 2));
  const short = half - (half % 16);
  return Array.from({ length: datagrams }, (_, index) => (shortTail && index === datagrams - 1 ? short : full));
}
